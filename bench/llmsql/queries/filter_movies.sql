-- Filter over movies: films for children.
SELECT movietitle
FROM movies
WHERE llm('Can children watch this film? Answer Yes or No.', *, labels => array('Yes', 'No')) = 'Yes'
