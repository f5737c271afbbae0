-- Aggregation over products: the mean of what reviews say.
SELECT avg(CAST(llm('How good does the review find the product, from 1 (bad) to 5 (good)?', text, description, labels => array('1', '2', '3', '4', '5')) AS INT))
FROM products
