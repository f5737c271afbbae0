-- Aggregation over beer: a column of few different values; not one of the paper's.
SELECT avg(CAST(llm('How strong are beers of this style, from 1 (light) to 5 (strong)?', `beer/style`, labels => array('1', '2', '3', '4', '5')) AS INT))
FROM beer
