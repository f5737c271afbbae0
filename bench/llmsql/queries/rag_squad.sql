-- Retrieved passages over SQuAD: questions about them.
SELECT llm('Answer the question from the passages.', *)
FROM squad
