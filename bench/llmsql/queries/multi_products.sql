-- Two calls over products: bad reviews beside the product's description.
SELECT llm('Sum up the product. Then say whether the review bears out what the description promises.', *)
FROM products
WHERE llm('Is this review POSITIVE or NEGATIVE?', text, labels => array('POSITIVE', 'NEGATIVE')) = 'NEGATIVE'
