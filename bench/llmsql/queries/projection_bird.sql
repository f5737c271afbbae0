-- Projection over BIRD: a comment beside the post that it is about.
SELECT llm('How does the comment in Text refer to the post in Body? Sum it up.', *)
FROM bird
