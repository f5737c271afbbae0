package sparkllm.catalyst

import org.apache.spark.sql.catalyst.expressions._
import org.apache.spark.sql.catalyst.expressions.aggregate.Max
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

  def apply(call: LLMCall, plan: LogicalPlan): Found = if (Setting.on("reuse")) find(call, plan) else None

  /** The same where answers that nobody reads are gone, which find more readers here.
    *
    * @param everywhere the answer is read for every row of `plan` */
  def optimized(call: LLMCall, plan: LogicalPlan, everywhere: Boolean): Found =
    apply(call, plan).orElse {
      if (!Setting.on("reuse")) None
      else ofGroup(call, plan).orElse(if (everywhere) unguard(call, plan) else None)
    }

  /** All rows of a group have its key, and so its answer: `max` finds the one that is not NULL. Sampled answers may
    * differ. */
  private def ofGroup(call: LLMCall, plan: LogicalPlan): Found = plan match {
    case a: Aggregate if a.groupingExpressions.nonEmpty && Setting.number("temperature", 0) == 0 =>
      val keys = AttributeMap(a.aggregateExpressions.collect {
        case e if a.groupingExpressions.exists(_.semanticEquals(InlineColumns(e.toAttribute, Seq(e)))) =>
          (e.toAttribute, InlineColumns(e.toAttribute, Seq(e)))
      })
      if (!call.references.forall(keys.contains)) None
      else find(call.copy(fields = call.fields.map(_.transform { case k: Attribute => keys(k) })), a.child).map {
        case (child, answer) =>
          val all = Alias(Max(answer).toAggregateExpression(), answer.name)()
          (a.copy(aggregateExpressions = a.aggregateExpressions :+ all, child = child), all.toAttribute)
      }
    case p: Project if p.projectList.forall(_.deterministic) => below(call, p, ofGroup)
    case f: Filter => ofGroup(call, f.child).map { case (c, a) => (f.copy(child = c), a) }
    case _ => None
  }

  private def unguard(call: LLMCall, plan: LogicalPlan): Found = plan match {
    case f @ Filter(condition, e: LLMEval)
        if e.opened && condition.references.contains(e.result) && e.call.semanticEquals(call) =>
      Some((f.copy(child = e.copy(guard = None, opened = false)), e.result))
    case p: Project if p.projectList.forall(_.deterministic) => below(call, p, unguard)
    case _ => None
  }

  /** The filter, with a note at its call if whatever the call's guard leaves out fulfils the condition. */
  def opened(f: Filter): Filter = f.child match {
    case e: LLMEval if e.guard.isDefined =>
      val plain = splitDisjunctivePredicates(f.condition).filterNot(_.references.contains(e.result))
      val opens = plain.nonEmpty && plain.map(Guards.isNotTrue).reduce(And(_, _)).semanticEquals(e.guard.get)
      f.copy(child = e.copy(opened = opens))
    case _ => f
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
