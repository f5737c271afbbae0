-- Filter over tweets to airlines; not one of the paper's.
SELECT text
FROM tweets
WHERE llm('Is this tweet a complaint? Answer YES or NO.', *, labels => array('YES', 'NO')) = 'YES'
