"""The measurements of docs/questions.md and docs/gates.md, which their scripts run and write into the pages."""
