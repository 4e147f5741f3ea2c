"""The run's report: the document with its schema, and the page with the charts."""
