-- Two calls over tweets to airlines, where the second is the cheaper filter; not one of the paper's.
SELECT airline, count(*)
FROM tweets
WHERE llm('Does the writer want money back? Answer YES or NO.', *, labels => array('YES', 'NO')) = 'YES'
  AND llm('Is this tweet a complaint? Answer YES or NO.', text, labels => array('YES', 'NO'), selectivity => 0.3) = 'YES'
GROUP BY airline
