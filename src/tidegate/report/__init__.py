"""Results as one offline HTML file, and in a terminal. No mathematics: numbers and sentences come from insight."""
