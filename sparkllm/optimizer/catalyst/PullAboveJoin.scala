package sparkllm.catalyst

import org.apache.spark.sql.catalyst.expressions._
import org.apache.spark.sql.catalyst.plans._
import org.apache.spark.sql.catalyst.plans.logical._
import org.apache.spark.sql.catalyst.rules.Rule

/** A call on one side of a join runs above it, with the filters that read its answer, where the join may leave fewer
  * of that side's rows and never more.
  *
  * `Join id = uid <- (Filter (r = 'a') <- LLMEval r <- t), Distinct u` ->
  * `Filter (r = 'a') <- LLMEval r <- Join id = uid <- t, Distinct u`. So for SEMI and ANTI joins, and for inner joins
  * whose other side has each key once (GROUP BY, DISTINCT) or one row; where Spark's statistics say that such a join
  * leaves as many rows as came, nothing moves. An outer join keeps all rows of its call's side: there only under a
  * filter or a LIMIT that needs the join. A join that may multiply rows has its calls below, once for each row.
  *
  * Never more calls, and never more joined rows than the side has. What grows is the join's input, by the rows that
  * the filter would have dropped and by the call's fields in place of its answer: bytes to shuffle, where an answer
  * costs a run of a model. */
object PullAboveJoin extends Rule[LogicalPlan] with PredicateHelper {
  /** What stands above a join and waits for it: conditions, and what a LIMIT's order reads. */
  private case class Above(conditions: Seq[Expression], limit: Option[AttributeSet]) {
    def filtered(f: Filter): Above = Above(conditions ++ splitConjunctivePredicates(f.condition), None)

    /** Rows are dropped up there, and not by these answers. (What needs neither them nor the join is below by now.) */
    def drops(answers: AttributeSet): Boolean = limit.exists(_.intersect(answers).isEmpty) ||
      conditions.exists(c => Calls.deterministic(c) && c.references.intersect(answers).isEmpty)
  }
  private val nothing = Above(Nil, None)

  override def apply(plan: LogicalPlan): LogicalPlan =
    if (!plan.exists(_.isInstanceOf[LLMEval]) || !Setting.on("pullAboveJoin")) plan else rewrite(plan, nothing)

  private def rewrite(plan: LogicalPlan, above: Above): LogicalPlan = plan match {
    case j: Join => pull(j, above).map(rewrite(_, above)).getOrElse(j.mapChildren(rewrite(_, nothing)))
    case f: Filter => f.mapChildren(rewrite(_, above.filtered(f)))
    case l @ (_: GlobalLimit | _: LocalLimit) => l.mapChildren(rewrite(_, above.copy(limit = Some(AttributeSet.empty))))
    case s: Sort => s.mapChildren(rewrite(_, above.copy(limit = above.limit.map(_ ++ s.references))))
    case p @ (_: Project | _: LLMEval | _: Offset) => p.mapChildren(rewrite(_, above))
    case other => other.mapChildren(rewrite(_, nothing))
  }

  private def pull(j: Join, above: Above): Option[LogicalPlan] = left(j, above).orElse(right(j, above))

  private def left(j: Join, above: Above): Option[LogicalPlan] = lift(j, j.left, j.right).flatMap { call =>
    val joined = j.copy(left = call.below)
    val pays = j.joinType match {
      case LeftSemi | LeftAnti => true
      case _: InnerLike => once(j, j.right) && fewer(joined, call, above)
      case LeftOuter => once(j, j.right) && above.drops(call.answers)
      case _ => false
    }
    if (pays) Some(Cascade(joined, call.steps, j.output).plan) else None
  }

  private def right(j: Join, above: Above): Option[LogicalPlan] = lift(j, j.right, j.left).flatMap { call =>
    val joined = j.copy(right = call.below)
    val pays = j.joinType match {
      case _: InnerLike => once(j, j.left) && fewer(joined, call, above)
      case RightOuter => once(j, j.left) && above.drops(call.answers)
      case _ => false
    }
    if (pays) Some(Cascade(joined, call.steps, j.output).plan) else None
  }

  /** A table on both sides may have the same columns on both: then they must not both come up. */
  private def lift(j: Join, side: LogicalPlan, other: LogicalPlan): Option[Lift] =
    Lift.of(side, j.condition).filter(_.below.outputSet.intersect(other.outputSet).isEmpty)

  /** Each row of the side across from `other` meets at most one of its rows. */
  private def once(j: Join, other: LogicalPlan): Boolean = other.maxRows.exists(_ <= 1) || {
    val across = if (other eq j.right) j.left else j.right
    val keys = ExpressionSet(j.condition.toSeq.flatMap(splitConjunctivePredicates).flatMap {
      case Equality(a, b) if from(across, a) && from(other, b) => Some(b)
      case Equality(b, a) if from(across, a) && from(other, b) => Some(b)
      case _ => None
    })
    other.distinctKeys.exists(_.subsetOf(keys))
  }

  private def from(side: LogicalPlan, e: Expression): Boolean = e.references.subsetOf(side.outputSet)

  /** As far as is known, not every row of the side meets one. */
  private def fewer(joined: Join, call: Lift, above: Above): Boolean = above.drops(call.answers) ||
    joined.condition.isDefined && !rows(joined).exists(out => rows(call.below).exists(out >= _))

  private def rows(plan: LogicalPlan): Option[BigInt] = KnownStatistics(plan).flatMap(_.rowCount)
}
