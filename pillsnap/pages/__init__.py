"""Parts that the HTML pages share: frame, style, charts, formats."""
