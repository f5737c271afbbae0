-- Projection over tweets to airlines; not one of the paper's.
SELECT llm('What does the writer want from the airline?', *)
FROM tweets
