-- The two filters of multi_tweets, written in the other order; not one of the paper's.
SELECT airline, count(*)
FROM tweets
WHERE llm('Is this tweet a complaint? Answer YES or NO.', text, labels => array('YES', 'NO')) = 'YES'
  AND llm('Does the writer want money back? Answer YES or NO.', *, labels => array('YES', 'NO')) = 'YES'
GROUP BY airline
