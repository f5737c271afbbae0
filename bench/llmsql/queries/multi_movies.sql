-- Two calls over movies: what was good about films whose review is bad.
SELECT llm('Say what was good about the film so that it was rated well.', *)
FROM movies
WHERE llm('Is this review POSITIVE or NEGATIVE?', reviewcontent, labels => array('POSITIVE', 'NEGATIVE')) = 'NEGATIVE'
