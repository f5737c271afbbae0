-- Projection over movies: what was liked.
SELECT llm('Say what was good about the film so that it was rated well.', *)
FROM movies
