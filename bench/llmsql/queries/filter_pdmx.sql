-- Filter over PDMX: scores that name somebody.
SELECT *
FROM pdmx
WHERE llm('Does anything about this piece of music name a person? Answer YES or NO.', *, labels => array('YES', 'NO')) = 'YES'
