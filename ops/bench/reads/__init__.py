"""`frt bench reads`: how fast status reads are beside a running load, and what they cost the load."""
