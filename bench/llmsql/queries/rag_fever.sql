-- Retrieved evidence over FEVER: is the claim true?
SELECT llm('Is the claim supported or refuted by the evidence, or is there not enough of it?', *, labels => array('SUPPORTS', 'REFUTES', 'NOT ENOUGH INFO'))
FROM fever
