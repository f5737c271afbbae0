-- Projection over PDMX: the kind of music, and its figures.
SELECT llm('Describe the kind of music and what its scores tell, in 50 words.', *)
FROM pdmx
