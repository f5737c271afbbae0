-- Aggregation over movies: the mean of what reviews say.
SELECT avg(CAST(llm('How good does the review find the film, from 1 (bad) to 5 (good)?', reviewcontent, movieinfo, labels => array('1', '2', '3', '4', '5')) AS INT))
FROM movies
