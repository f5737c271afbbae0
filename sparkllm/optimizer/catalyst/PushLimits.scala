package sparkllm.catalyst

import org.apache.spark.sql.catalyst.expressions._
import org.apache.spark.sql.catalyst.plans.logical._
import org.apache.spark.sql.catalyst.rules.Rule

/** LIMIT, OFFSET and top-k that do not read the answer run before the call.
  *
  * `Limit 20 <- Project [r] <- LLMEval r` -> `Project [r] <- LLMEval r <- Limit 20`. The whole stack of limits and
  * sorts moves at once, so that ORDER BY x LIMIT n stays top-k; LLMEval keeps the order of rows, so the result is still
  * sorted. The Projects among them stay above, without their random columns, which must be drawn once and in their
  * place: `Limit <- Sort nd <- Project [r, rand() AS nd] <- LLMEval r` ->
  * `Project [r, nd] <- LLMEval r <- Limit <- Sort nd <- Project [*, rand() AS nd]`. Limits on top of a filter over the
  * answer stay where they are. */
object PushLimits extends Rule[LogicalPlan] with AliasHelper {
  /** The parts of a plan: `projects` (outermost first) over `e` over `below` would be the same rows. */
  private case class Parts(projects: Seq[Project], e: LLMEval, below: LogicalPlan) {
    /** An expression over the projects' output as one over `e`. */
    def lower(expression: Expression): Expression =
      projects.foldLeft(expression)((x, p) => replaceAlias(x, getAliasMap(p)))

    /** It could be computed below `e`: it does not read the answer. */
    def free(lowered: Seq[Expression]): Boolean = lowered.forall(_.references.subsetOf(below.outputSet))

    def plan: LogicalPlan = projects.foldRight(e.copy(child = below): LogicalPlan)((p, child) => p.copy(child = child))
  }

  override def apply(plan: LogicalPlan): LogicalPlan = if (!Setting.on("pushLimits")) plan else plan.transformDown {
    // a sort alone is no reason
    case p @ (_: GlobalLimit | _: LocalLimit | _: Offset) => parts(p).map(_.plan).getOrElse(p)
  }

  private def parts(plan: LogicalPlan): Option[Parts] = plan match {
    case e: LLMEval => Some(Parts(Nil, e, e.child))
    case p: Project => parts(p.child).flatMap(add(p, _))
    case u @ (_: GlobalLimit | _: LocalLimit | _: Offset | _: Sort) => parts(u.children.head).flatMap { under =>
      val lowered = u.mapExpressions(under.lower)
      if (under.free(lowered.expressions)) Some(under.copy(below = lowered.withNewChildren(Seq(under.below)))) else None
    }
    case _ => None
  }

  private def add(p: Project, under: Parts): Option[Parts] = {
    val random = p.projectList.filterNot(_.deterministic)
    val lowered = random.map(_.mapChildren(under.lower).asInstanceOf[NamedExpression])
    if (!under.free(lowered)) None
    else if (random.isEmpty) Some(under.copy(projects = p +: under.projects))
    else {
      val columns = random.map(_.toAttribute)
      val kept = p.projectList.map(c => if (c.deterministic) c else c.toAttribute)
      val wider = under.projects.map(q => q.copy(projectList = q.projectList ++ columns))
      val below = Project(under.below.output ++ lowered, under.below)
      Some(Parts(p.copy(projectList = kept) +: wider, under.e, below))
    }
  }
}
