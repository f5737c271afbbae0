package sparkllm.catalyst

import java.nio.charset.StandardCharsets.UTF_8

import org.apache.spark.sql.catalyst.expressions._
import org.apache.spark.sql.catalyst.plans.logical._
import org.apache.spark.sql.catalyst.rules.Rule

/** Several calls on the same fields of the same rows: the data goes before the instruction where that saves tokens, so
  * that every call but the first finds the data in the KV cache.
  *
  * `LLMEval llm('Is it cheap?', x) <- LLMEval llm('Is it good?', x) <- KeyedRows` -> the same with `layout: data first
  * from 240 unshared bytes a row`. From how many bytes is decided here (Layout), from the lengths of the instructions
  * and the share of rows that reach each call. How many there are, KeyedRows counts on the pass that it makes anyway:
  * once, before the first prompt, for all rows of the query, so that equal rows keep giving equal prompts.
  *
  * Left as they are: calls that CoLocate has not placed together, whose rows nobody counts; other models; instructions
  * that hold a field (the data would no longer be the same) or say that the data come "below"; and rows
  * that have a field order each. */
object DataFirst extends Rule[LogicalPlan] {
  override def apply(plan: LogicalPlan): LogicalPlan =
    if (!plan.exists(_.isInstanceOf[LLMEval]) || !Setting.on("dataFirst")) plan
    else plan.collect { case k: KeyedRows if k.statistics.dataFirst.isEmpty => k.columns.order }.foldLeft(plan)(mark)

  private def mark(plan: LogicalPlan, order: Attribute): LogicalPlan = {
    val calls = asked(path(plan, order), order)
    def follows(e: LLMEval) = e.result.exprId != calls.head._1.result.exprId
    leastBytes(calls).fold(plan) { bytes =>
      plan.transformUp {
        case k: KeyedRows if k.columns.order.exprId == order.exprId =>
          k.copy(statistics = k.statistics.copy(dataFirst = Some(bytes)))
        case e: LLMEval if placed(e, order) => lay(e, Layout(bytes, follows(e)))
      }
    }
  }

  private def lay(e: LLMEval, layout: Layout): LLMEval =
    e.copy(call = e.call.copy(spec = e.call.spec.copy(dataFirst = Some(layout))))

  private def placed(e: LLMEval, order: Attribute): Boolean = e.order.exists(_.exprId == order.exprId)

  /** The operators from the last call with this placement down to the placement. */
  private def path(plan: LogicalPlan, order: Attribute): Seq[LogicalPlan] = {
    def down(p: LogicalPlan): Seq[LogicalPlan] = p match {
      case _: KeyedRows => Nil
      case u: UnaryNode => u +: down(u.child)
      case _ => Nil
    }
    plan.find { case e: LLMEval => placed(e, order); case _ => false }.toSeq.flatMap(down)
  }

  /** The calls, the first one first, each with the share of the rows that reaches it. */
  private def asked(path: Seq[LogicalPlan], order: Attribute): Seq[(LLMEval, Double)] = {
    val calls = path.collect { case e: LLMEval if placed(e, order) => e }
    var share = 1.0
    path.reverse.flatMap {
      case e: LLMEval if placed(e, order) => Some((e, if (e.guard.isEmpty) share else share * guessed))
      case f: Filter =>
        share *= calls.filter(e => f.references.contains(e.result)).map(_.call.selectivity.getOrElse(guessed)).product
        None
      case _ => None
    }
  }

  /** Share of rows behind a condition that nobody has said anything about. */
  private val guessed = 0.5

  private def leastBytes(calls: Seq[(LLMEval, Double)]): Option[Int] = {
    val specs = calls.map(_._1.call.spec)
    if (specs.size < 2 || specs.map(_.model).distinct.size > 1 || !specs.forall(movable)) None
    else Layout.leastData(specs.map(_.instruction.getBytes(UTF_8).length.toDouble), calls.map(_._2),
      Layout.overheadBytes, Layout.leastSaving).map(math.ceil(_).toInt)
  }

  private val place = "(?i)\\b(below|following)\\b".r

  private def movable(spec: LLMSpec): Boolean =
    !spec.perRow && spec.instructionFields.isEmpty && spec.prompt.forall(place.findFirstIn(_).isEmpty)
}
