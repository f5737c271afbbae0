package sparkllm.catalyst

import org.apache.spark.sql.catalyst.expressions._
import org.apache.spark.sql.catalyst.plans.logical._
import org.apache.spark.sql.catalyst.rules.Rule

/** A call whose answer stands in its input already takes it from there.
  *
  * `LLMEval r(x) <- Project [x, r2 AS c] <- LLMEval r2(x) <- t` -> `Project [x, c, c AS r] <- LLMEval r2(x) <- t`.
  * ExtractCalls does the same while it places calls; here are those that Spark's own rules bring together later, such
  * as a query's and its CTE's, and those over a group's key that the group's rows have asked. In the end (`late`),
  * where no LIMIT and no window comes between the two any more, an answer that a guard keeps from some rows serves,
  * without that guard, for all of them. */
case class ReuseAnswers(late: Boolean) extends Rule[LogicalPlan] {
  override def apply(plan: LogicalPlan): LogicalPlan =
    if (!plan.exists(_.isInstanceOf[LLMEval])) plan else plan.transformUp {
      case e: LLMEval if e.movable => reuse(e).getOrElse(e)
    }

  private def reuse(e: LLMEval): Option[LogicalPlan] =
    FindAnswer.optimized(e.call, e.child, everywhere = late && e.guard.isEmpty).map { case (child, answer) =>
      val result = Alias(answer, e.result.name)(exprId = e.result.exprId, qualifier = e.result.qualifier)
      Project(e.child.output :+ result, child)
    }
}
