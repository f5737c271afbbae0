package sparkllm.catalyst

import org.apache.spark.sql.catalyst.expressions._
import org.apache.spark.sql.catalyst.plans.{Inner, LeftAnti, LeftOuter, LeftSemi, RightOuter, JoinType}
import org.apache.spark.sql.catalyst.plans.logical._

/** Finds the answer of a call that the plan has already asked for, and makes it visible at the top.
  *
  * `SELECT llm(x) FROM t WHERE llm(x) = 'a'`: the Filter's LLMEval serves the SELECT. Looks through operators that keep
  * rows as they are; a Project is widened by the answer (the caller restores the output above). Guarded answers are not
  * reused, as rows outside the guard have none, but for `WHERE p OR llm(x) = 'a'`: its LLMEval loses its guard if the
  * call is read for every row above, where all rows are that it did not ask. */
object FindAnswer extends PredicateHelper {
  type Found = Option[(LogicalPlan, Attribute)]

  /** @param everywhere the answer is read for every row of `plan` */
  def apply(call: LLMCall, plan: LogicalPlan, everywhere: Boolean = false): Found =
    if (!Setting.on("reuse")) None
    else find(call, plan).orElse(if (everywhere) unguard(call, plan) else None)

  private def unguard(call: LLMCall, plan: LogicalPlan): Found = plan match {
    case f @ Filter(condition, e: LLMEval) if e.call.semanticEquals(call) && e.guard.exists(opens(condition, e, _)) =>
      Some((f.copy(child = e.copy(guard = None)), e.result))
    case p: Project if p.projectList.forall(_.deterministic) => below(call, p, unguard)
    case _: SubqueryAlias | _: View => unguard(call, plan.children.head).map { case (c, a) =>
      (plan.withNewChildren(Seq(c)), a)
    }
    case _ => None
  }

  /** Whatever the guard leaves out fulfils the condition. */
  private def opens(condition: Expression, e: LLMEval, guard: Expression): Boolean = {
    val plain = splitDisjunctivePredicates(condition).filterNot(_.references.contains(e.result))
    plain.nonEmpty && plain.map(Guards.isNotTrue).reduce(And(_, _)).semanticEquals(guard)
  }

  private def find(call: LLMCall, plan: LogicalPlan): Found = plan match {
    case e: LLMEval if e.guard.isEmpty && e.call.semanticEquals(call) =>
      val hint = e.call.selectivity.orElse(call.selectivity)
      Some((e.copy(call = e.call.copy(selectivity = hint)), e.result))
    case p: Project if p.deterministic || p.projectList.forall(_.deterministic) => below(call, p, find)
    case j: Join => side(call, j)
    case _: LLMEval | _: Filter | _: Sort | _: GlobalLimit | _: LocalLimit | _: Offset | _: SubqueryAlias | _: View |
        _: ResolvedHint | _: RepartitionOperation | _: RebalancePartitions | _: Window =>
      val child = plan.children.head
      if (!call.references.subsetOf(child.outputSet)) None
      else find(call, child).map { case (c, a) => (plan.withNewChildren(Seq(c)), a) }
    case _ => None
  }

  private def below(call: LLMCall, p: Project, search: (LLMCall, LogicalPlan) => Found): Found = {
    val definitions = AttributeMap(p.projectList.collect { case a: Alias => (a.toAttribute, uncast(a.child)) })
    val inner = call.transform { case a: Attribute => definitions.getOrElse(a, a) }
    inner match {
      case c: LLMCall => search(c, p.child).map { case (child, answer) => expose(p, child, answer) }
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
