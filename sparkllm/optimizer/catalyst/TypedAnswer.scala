package sparkllm.catalyst

import org.apache.spark.sql.catalyst.expressions._

/** A call whose value is not the answer's text: the text becomes a value here, under the call's own name.
  *
  * `llm(..., schema => 'a INT')` -> `from_json(llm(...), 'a INT')`; `llm_filter(...)` -> `llm_filter(...) = 'true'`;
  * `llm_score(...)` -> `from_json(..., 'answer DOUBLE').answer`; with on_error => 'struct' -> `named_struct('value',
  * that, 'error', ...)`. The call inside is what ExtractCalls moves. A NULL answer is a NULL value; what is no JSON
  * never gets here (sparkllm/udf/evaluation.py). */
case class TypedAnswer(call: LLMCall, replacement: Expression) extends RuntimeReplaceable with InheritAnalysisRules {
  override def parameters: Seq[Expression] = Seq(call)
  override def prettyName: String = call.prettyName
  override def makeSQLString(childrenSQL: Seq[String]): String = childrenSQL.head
  override def toString: String = call.toString
  override protected def withNewChildInternal(newChild: Expression): TypedAnswer = copy(replacement = newChild)
}

object TypedAnswer {
  val valueAndError: (String, String) = ("value", "error")

  /** @param names of the columns of on_error => 'struct' */
  def apply(call: LLMCall, reading: String, names: (String, String) = valueAndError): Expression = {
    def value(text: Expression) = reading match {
      case "boolean" => EqualTo(text, Literal("true"))
      case "answer" => GetStructField(json(call, text), 0, Some(AnswerSchema.alone))
      case "columns" => json(call, text)
      case _ => text
    }
    if (call.spec.tellsErrors) {
      val (answer, error) = (GetStructField(call, 0, Some("value")), GetStructField(call, 1, Some("error")))
      TypedAnswer(call, CreateNamedStruct(Seq(Literal(names._1), value(answer), Literal(names._2), error)))
    } else if (reading == "text") call
    else TypedAnswer(call, value(call))
  }

  private def json(call: LLMCall, text: Expression) = JsonToStructs(call.spec.schema.get, Map.empty, text)

  /** Of the STRUCT that an answer with its error is. */
  private[catalyst] def withError(value: Expression, error: Expression, detail: Option[Expression]): Expression = {
    def more(d: Expression) = Coalesce(Seq(Concat(Seq(Literal(": "), d)), Literal("")))
    CreateNamedStruct(Seq(Literal("value"), value, Literal("error"), Concat(error +: detail.map(more).toSeq)))
  }
}
