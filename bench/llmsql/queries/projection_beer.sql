-- Projection over beer: the beer and its review in short.
SELECT llm('Describe the beer and the review of it in a paragraph of 20 words.', *)
FROM beer
