"""Values → what a person reads: Markdown, HTML pages, tables of text."""
