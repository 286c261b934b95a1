"""Values → what a person reads: Markdown, HTML, tables of text."""
