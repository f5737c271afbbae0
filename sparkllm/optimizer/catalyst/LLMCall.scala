package sparkllm.catalyst

import org.apache.spark.sql.catalyst.expressions._
import org.apache.spark.sql.types.{DataType, StringType, StructType}

/** One `llm(...)`, until ExtractCalls turns it into an LLMEval node below its operator.
  *
  * Deterministic, so that it may stand in GROUP BY and in aggregates; the LLMEval node is what must not be copied.
  * `implied` of the last fields and `made` of the first ones come from the prompt and are not shown. `selectivity` is
  * the user's guess at the share of rows that a predicate over the answer keeps: a hint, no part of what the call
  * means. The answer is a text, or with on_error => 'struct' that and what was wrong; TypedAnswer is what users see. */
case class LLMCall(
    spec: LLMSpec, fields: Seq[Expression], implied: Int, selectivity: Option[Double] = None, made: Int = 0)
    extends Expression with Unevaluable {
  override def children: Seq[Expression] = fields
  override def dataType: DataType = if (spec.tellsErrors) LLMCall.answerAndError else StringType
  override def nullable: Boolean = true
  override lazy val deterministic: Boolean = fields.forall(_.deterministic)
  override def prettyName: String = spec.function.getOrElse("llm")
  override lazy val canonicalized: Expression =
    if (selectivity.isEmpty) withCanonicalizedChildren else copy(selectivity = None).canonicalized

  override def sql: String = show(_.sql)
  override def toString: String = show(_.toString)

  private def show(one: Expression => String): String =
    spec.show(PromptText.written(this).map(one), quote, selectivity)

  private def quote(text: String): String = "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"

  override protected def withNewChildrenInternal(newChildren: IndexedSeq[Expression]): LLMCall =
    copy(fields = newChildren)
}

object LLMCall {
  val answerAndError: StructType = new StructType().add("value", StringType).add("error", StringType)
}
