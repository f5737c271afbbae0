package sparkllm.catalyst

import scala.collection.mutable

import org.apache.spark.sql.catalyst.expressions._
import org.apache.spark.sql.catalyst.plans.logical._

/** Puts LLMEval nodes on top of `plan` for the calls of one operator, each different call once. */
class Placer(var plan: LogicalPlan, occurrences: Seq[Occurrence]) {
  private val placed = mutable.Map[Expression, Attribute]()
  private val guards: Map[Expression, Seq[Option[Expression]]] =
    occurrences.groupBy(_.call.canonicalized).map { case (key, found) => key -> found.map(_.guard).distinct }

  /** The expression with the answers' columns in place of the calls placed so far. */
  def replace(e: Expression): Expression = e.transformDown {
    case c: LLMCall if placed.contains(c.canonicalized) => placed(c.canonicalized)
  }

  /** Evaluates every call of `e`, inner ones first. */
  def place(e: Expression): Unit = Guards.occurrences(e).map(_.call).filter(Calls.extractable).foreach(placeOne)

  def placeAll(): Unit = occurrences.map(_.call).filter(Calls.extractable).foreach(placeOne)

  /** No call of `e` would need a new evaluation. */
  def free(e: Expression): Boolean = !Guards.occurrences(e).exists { o =>
    !placed.contains(o.call.canonicalized) && FindAnswer(withAnswers(o.call), plan).isEmpty
  }

  private def placeOne(call: LLMCall): Unit = if (!placed.contains(call.canonicalized)) {
    val ready = withAnswers(call)
    val (child, answer) = FindAnswer(ready, plan).getOrElse {
      val result = LLMEval.result(ready)
      (LLMEval(ready, guard(call), result, plan), result)
    }
    plan = child
    placed(call.canonicalized) = answer
  }

  private def withAnswers(call: LLMCall): LLMCall = call.copy(fields = call.fields.map(replace))

  /** One LLMEval serves every place of the call: its guard is true where any of theirs is. */
  private def guard(call: LLMCall): Option[Expression] = {
    val all = guards.getOrElse(call.canonicalized, Seq(None))
    if (all.exists(_.isEmpty)) None
    // a guard that waits for a call which is not placed yet cannot be evaluated here: then all rows
    else Some(all.flatten.map(replace).reduce(Or(_, _))).filterNot(_.exists(_.isInstanceOf[LLMCall]))
      .filter(_.references.subsetOf(plan.outputSet))
  }
}
