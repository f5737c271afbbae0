package sparkllm.catalyst

import scala.util.Try

import org.apache.spark.sql.catalyst.expressions._
import org.apache.spark.sql.catalyst.plans.logical.{ColumnStat, LogicalPlan}
import org.apache.spark.sql.types._

/** A model of what a call costs for one row, in prompt tokens of which none is cached: the same figure for the same
  * plan, good enough to tell a label from a summary and a title from a document.
  *
  * `llm('classify', title)` costs 70: 50 tokens for a text of unknown length, ten for each of the 2 tokens of its
  * longest label, and next to nothing for the instruction, which all prompts share.
  *
  * Where requests of the call were counted (Evidence), those are its tokens. Otherwise lengths are those of ANALYZE
  * TABLE ... FOR COLUMNS where `spark.sql.cbo.enabled` is on, or 200 characters for a text, an array or a map and 8 for
  * anything else; and an answer that is a field is as long as its call's output may be. The model does not look at rows
  * that a guard leaves out, equal prompts, names of fields, or what else a cache may hold.
  *
  * @param calls the calls whose answers are columns
  * @param lengths mean characters of a column
  * @param counted tokens of a call's requests */
case class CallCost(
    calls: Map[ExprId, LLMCall], lengths: Attribute => Option[Double], counted: LLMCall => Option[CallTokens]) {
  import CallCost._

  /** A whole number, so that sums do not depend on their order. */
  def apply(call: LLMCall): Double = {
    val instruction = call.spec.prompt.getOrElse(call.spec.text).length / charactersPerToken * sharedToken
    val tokens = counted(call).getOrElse(
      CallTokens(call.fields.map(field).sum / charactersPerToken, outputTokens(call.spec)))
    math.max(1, math.round(instruction + tokens.data + outputToken * tokens.output)).toDouble
  }

  private def field(e: Expression): Double = e match {
    case Literal(value, _) => if (value == null) 0 else value.toString.length
    case a: Attribute => calls.get(a.exprId).map(c => outputTokens(c.spec) * charactersPerToken)
      .orElse(lengths(a)).getOrElse(size(a.dataType))
    // a text made of texts is as long as they are: concat, a struct's column, CASE
    case made if text(made) && made.references.nonEmpty => made.references.toSeq.map(field).sum
    case other => size(other.dataType)
  }
}

object CallCost {
  private val charactersPerToken = 4.0
  private val textLength = 200.0
  private val numberLength = 8.0
  /** The tokens that all prompts of a call begin with are read once and then come from the cache. */
  private val sharedToken = 0.1
  /** Low, for large batches: an engine reads hundreds of prompt tokens in the time of one step, which writes one. */
  private val outputToken = 10.0

  /** For calls over the columns of `plan` and over answers. */
  def apply(plan: LogicalPlan, calls: Map[ExprId, LLMCall], evidence: Seq[Evidence]): CallCost = {
    val known = KnownStatistics(plan).map(_.attributeStats).getOrElse(AttributeMap.empty[ColumnStat])
    CallCost(
      calls, a => if (text(a)) known.get(a).flatMap(_.avgLen).map(_.toDouble) else None,
      call => evidence.flatMap(_.tokens(call, calls)).headOption)
  }

  private def text(e: Expression): Boolean = e.dataType.isInstanceOf[StringType]

  /** Labels are told apart by few tokens; what has no bound of its own is bounded by maxTokens. */
  private def outputTokens(spec: LLMSpec): Double =
    if (spec.choices.nonEmpty) math.ceil(spec.choices.map(_.length).max / charactersPerToken)
    else spec.schema.filterNot(open).map(s => math.ceil(written(s) / charactersPerToken))
      .getOrElse(spec.maxTokens.map(_.toDouble).getOrElse(maxTokens))

  private def maxTokens: Double = Try(Setting("spark.sparkllm.maxTokens", "128").trim.toDouble).getOrElse(128)

  private def open(kind: DataType): Boolean = kind match {
    case struct: StructType => struct.exists(f => open(f.dataType))
    case _: StringType | _: ArrayType => true
    case _ => false
  }

  /** `{"age": 5}` */
  private def written(kind: DataType): Double = kind match {
    case struct: StructType => 2 + struct.map(f => f.name.length + 6 + written(f.dataType)).sum
    case BooleanType => 5
    case _ => numberLength
  }

  private def size(kind: DataType): Double = kind match {
    case struct: StructType => struct.map(f => f.name.length + size(f.dataType)).sum
    case _: StringType | BinaryType | _: ArrayType | _: MapType => textLength
    case _ => numberLength
  }
}
