-- Projection over products: does the description keep its word?
SELECT llm('Sum up the product. Then say whether the review bears out what the description promises.', *)
FROM products
