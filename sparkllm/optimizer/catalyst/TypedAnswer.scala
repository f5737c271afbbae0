package sparkllm.catalyst

import org.apache.spark.sql.catalyst.expressions._

/** A call with a schema: the answer is JSON text, and this is the STRUCT that users see.
  *
  * `llm(..., schema => 'a INT')` -> `from_json(llm(...), 'a INT')`, under the call's own name. The call inside is what
  * ExtractCalls moves. A NULL answer is a NULL struct; what is no JSON never gets here (sparkllm/udf/evaluation.py). */
case class TypedAnswer(call: LLMCall, replacement: Expression) extends RuntimeReplaceable with InheritAnalysisRules {
  override def parameters: Seq[Expression] = Seq(call)
  override def prettyName: String = call.prettyName
  override def makeSQLString(childrenSQL: Seq[String]): String = childrenSQL.head
  override def toString: String = call.toString
  override protected def withNewChildInternal(newChild: Expression): TypedAnswer = copy(replacement = newChild)
}

object TypedAnswer {
  def apply(call: LLMCall): Expression =
    call.spec.schema.map(s => TypedAnswer(call, JsonToStructs(s, Map.empty, call))).getOrElse(call)
}
