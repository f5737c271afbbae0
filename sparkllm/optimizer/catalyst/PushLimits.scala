package sparkllm.catalyst

import org.apache.spark.sql.catalyst.expressions._
import org.apache.spark.sql.catalyst.plans.logical._
import org.apache.spark.sql.catalyst.rules.Rule

/** LIMIT, OFFSET and top-k that do not read the answer run before the call.
  *
  * `Limit 20 <- Project [r] <- LLMEval r` -> `Project [r] <- LLMEval r <- Limit 20`. The whole stack of limits and sorts
  * moves at once, so that ORDER BY x LIMIT n stays top-k; LLMEval keeps the order of rows, so the result is still
  * sorted. Limits on top of a filter over the answer stay where they are. */
object PushLimits extends Rule[LogicalPlan] with AliasHelper {
  override def apply(plan: LogicalPlan): LogicalPlan = if (!Setting.on("pushLimits")) plan else plan.transformDown {
    case p @ (_: GlobalLimit | _: LocalLimit | _: Offset) => push(p.asInstanceOf[UnaryNode]).getOrElse(p)
  }

  private def push(top: UnaryNode): Option[LogicalPlan] = {
    val (stack, core) = limits(top)
    core match {
      case Project(list, e: LLMEval) if list.forall(_.deterministic) =>
        val aliases = getAliasMap(Project(list, e))
        below(stack.map(_.mapExpressions(replaceAlias(_, aliases)).asInstanceOf[UnaryNode]), e).map(Project(list, _))
      case e: LLMEval => below(stack, e)
      case _ => None
    }
  }

  private def below(stack: Seq[UnaryNode], e: LLMEval): Option[LogicalPlan] =
    if (stack.exists(_.references.contains(e.result))) None
    else Some(e.copy(child = stack.foldRight(e.child) { case (node, child) => node.withNewChildren(Seq(child)) }))

  /** The limits and sorts from `plan` down, outermost first, and what is under them. A sort alone is no reason. */
  private def limits(plan: LogicalPlan): (Seq[UnaryNode], LogicalPlan) = plan match {
    case u @ (_: GlobalLimit | _: LocalLimit | _: Offset | _: Sort) =>
      val (rest, core) = limits(u.children.head)
      (u.asInstanceOf[UnaryNode] +: rest, core)
    case core => (Nil, core)
  }
}
