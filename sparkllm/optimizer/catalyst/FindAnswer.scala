package sparkllm.catalyst

import org.apache.spark.sql.catalyst.expressions._
import org.apache.spark.sql.catalyst.plans.{Inner, LeftAnti, LeftOuter, LeftSemi, RightOuter, JoinType}
import org.apache.spark.sql.catalyst.plans.logical._

/** Finds the answer of a call that the plan has already asked for, and makes it visible at the top.
  *
  * `SELECT llm(x) FROM t WHERE llm(x) = 'a'`: the Filter's LLMEval serves the SELECT. Looks through operators that keep
  * rows as they are; a Project is widened by the answer (the caller restores the output above). Guarded answers are not
  * reused: rows outside the guard have none. */
object FindAnswer {
  type Found = Option[(LogicalPlan, Attribute)]

  def apply(call: LLMCall, plan: LogicalPlan): Found = if (Setting.on("reuse")) find(call, plan) else None

  private def find(call: LLMCall, plan: LogicalPlan): Found = plan match {
    case e: LLMEval if e.guard.isEmpty && e.call.semanticEquals(call) =>
      val hint = e.call.selectivity.orElse(call.selectivity)
      Some((e.copy(call = e.call.copy(selectivity = hint)), e.result))
    case p: Project if p.deterministic || p.projectList.forall(_.deterministic) => below(call, p)
    case j: Join => side(call, j)
    case _: LLMEval | _: Filter | _: Sort | _: GlobalLimit | _: LocalLimit | _: Offset | _: SubqueryAlias | _: View |
        _: ResolvedHint | _: RepartitionOperation | _: RebalancePartitions | _: Window =>
      val child = plan.children.head
      if (!call.references.subsetOf(child.outputSet)) None
      else find(call, child).map { case (c, a) => (plan.withNewChildren(Seq(c)), a) }
    case _ => None
  }

  private def below(call: LLMCall, p: Project): Found = {
    val definitions = AttributeMap(p.projectList.collect { case a: Alias => (a.toAttribute, uncast(a.child)) })
    val inner = call.transform { case a: Attribute => definitions.getOrElse(a, a) }
    inner match {
      case c: LLMCall => find(c, p.child).map { case (child, answer) => expose(p, child, answer) }
      case _ => None
    }
  }

  /** A view casts each of its columns to the type that it has. */
  private def uncast(e: Expression): Expression = e match {
    case c: Cast if c.child.dataType == c.dataType => c.child
    case other => other
  }

  private def expose(p: Project, child: LogicalPlan, answer: Attribute): (LogicalPlan, Attribute) = {
    val shown = p.projectList.collectFirst {
      case a: Attribute if a.exprId == answer.exprId => a
      case a @ Alias(x: Attribute, _) if x.exprId == answer.exprId => a.toAttribute
    }
    if (shown.isDefined) (p.copy(child = child), shown.get)
    else (p.copy(projectList = p.projectList :+ answer, child = child), answer)
  }

  private def side(call: LLMCall, j: Join): Found = {
    def keeps(one: JoinType*) = one.contains(j.joinType) && call.references.nonEmpty
    if (keeps(Inner, LeftOuter, LeftSemi, LeftAnti) && call.references.subsetOf(j.left.outputSet)) {
      find(call, j.left).map { case (c, a) => (j.withNewChildren(Seq(c, j.right)), a) }
    } else if (keeps(Inner, RightOuter) && call.references.subsetOf(j.right.outputSet)) {
      find(call, j.right).map { case (c, a) => (j.withNewChildren(Seq(j.left, c)), a) }
    } else None
  }
}
