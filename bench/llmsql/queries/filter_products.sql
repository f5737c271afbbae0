-- Filter over products: reviews that are content.
SELECT product_title
FROM products
WHERE llm('What does the reviewer think of the product?', *, labels => array('POSITIVE', 'NEGATIVE', 'NEUTRAL')) = 'POSITIVE'
