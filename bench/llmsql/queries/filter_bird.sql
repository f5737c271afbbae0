-- Filter over BIRD: posts of a forum for programmers that are about statistics.
SELECT PostId
FROM bird
WHERE llm('Is this post of a forum about statistics? Answer YES or NO.', *, labels => array('YES', 'NO')) = 'YES'
