-- Filter over beer: where the beer comes from.
SELECT `beer/name`
FROM beer
WHERE llm('Does this beer come from Europe? Answer YES or NO.', *, labels => array('YES', 'NO')) = 'YES'
