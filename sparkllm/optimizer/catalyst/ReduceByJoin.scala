package sparkllm.catalyst

import org.apache.spark.sql.catalyst.expressions._
import org.apache.spark.sql.catalyst.optimizer.ColumnPruning
import org.apache.spark.sql.catalyst.plans._
import org.apache.spark.sql.catalyst.plans.logical._
import org.apache.spark.sql.catalyst.rules.Rule

/** A call below a join that may multiply its rows runs only for rows that the join keeps.
  *
  * `Join id = uid <- LLMEval r <- t, u` -> `Join id = uid <- LLMEval r <- Join LEFT SEMI id = uid <- t, u; u`: the semi
  * join of distributed databases (Bernstein and Chiu, Using Semi-Joins to Solve Relational Queries, 1981), where a row
  * that is not sent costs a run of a model. What PullAboveJoin can move is above its join by now. The same below a
  * GROUP BY of the join's columns, which a correlated subquery with an aggregate is: a group is joined with all of its
  * rows or with none.
  *
  * The other side is read twice, so it must have no call, nothing dear (CoLocate.twice) and at most ten times the bytes
  * of the call's rows, or little enough to broadcast; where Spark's statistics say that all rows stay, nothing
  * changes. */
object ReduceByJoin extends Rule[LogicalPlan] with PredicateHelper {
  private val mostTimesLarger = 10

  override def apply(plan: LogicalPlan): LogicalPlan =
    if (!plan.exists(_.isInstanceOf[LLMEval]) || !Setting.on("reduceByJoin")) plan else plan.transformUp {
      case j: Join => right(left(j))
    }

  private def left(j: Join): Join = j.joinType match {
    case _: InnerLike | RightOuter => reduced(j, j.left, j.right).map(l => j.copy(left = l)).getOrElse(j)
    case _ => j
  }

  private def right(j: Join): Join = j.joinType match {
    case _: InnerLike | LeftOuter | LeftSemi | LeftAnti =>
      reduced(j, j.right, j.left).map(r => j.copy(right = r)).getOrElse(j)
    case _ => j
  }

  private def reduced(j: Join, side: LogicalPlan, other: LogicalPlan): Option[LogicalPlan] =
    if (other.exists(_.isInstanceOf[LLMEval]) || CoLocate.twice(other)) None
    else reduced(side, j.condition.toSeq.flatMap(splitConjunctivePredicates), other)

  /** @param conditions what a row of `side` must meet in `other` */
  private def reduced(side: LogicalPlan, conditions: Seq[Expression], other: LogicalPlan): Option[LogicalPlan] =
    Lift.of(side, None).map(reduced(_, side.output, conditions, other)).getOrElse(side match {
      case a: Aggregate => through(a, grouping(a), conditions, other)
      case p: Project => through(p, p.projectList, conditions, other)
      case f: Filter => through(f, f.output, conditions, other)
      case _ => None
    })

  private def reduced(
      call: Lift, output: Seq[Attribute], conditions: Seq[Expression], other: LogicalPlan): Option[LogicalPlan] = for {
    keys <- keys(conditions, call.below, other)
    semi = Join(call.below, columns(other, keys), LeftSemi, Some(keys), JoinHint.NONE)
    if !done(call.below, keys) && affordable(call.below, other) && fewer(semi, call.below)
  } yield ColumnPruning(Cascade(semi, call.steps, output).plan) // it runs no more after this

  /** The rows below `plan`, of whose columns it makes `columns`. */
  private def through(
      plan: UnaryNode, columns: Seq[NamedExpression], conditions: Seq[Expression], other: LogicalPlan
  ): Option[LogicalPlan] = {
    val of = AttributeMap(columns.map {
      case a: Alias => a.toAttribute -> a.child
      case c => c.toAttribute -> c.toAttribute
    })
    val known = AttributeSet(columns.map(_.toAttribute)) ++ other.outputSet
    val below = conditions.filter(_.references.subsetOf(known)).map(_.transform {
      case a: Attribute => of.getOrElse(a, a)
    })
    reduced(plan.child, below, other).map(child => plan.withNewChildren(Seq(child)))
  }

  private def grouping(a: Aggregate): Seq[NamedExpression] = {
    val keys = ExpressionSet(a.groupingExpressions)
    a.aggregateExpressions.filter {
      case Alias(e, _) => keys.contains(e)
      case column => keys.contains(column)
    }
  }

  /** What the join demands of the rows before any answer is known, if that is more than a cross product. */
  private def keys(conditions: Seq[Expression], below: LogicalPlan, other: LogicalPlan): Option[Expression] = {
    val known = below.outputSet ++ other.outputSet
    def across(e: Expression) = e.references.intersect(below.outputSet).nonEmpty &&
      e.references.intersect(other.outputSet).nonEmpty
    val met = conditions.filter(c => !CoLocate.twice(c) && c.references.subsetOf(known) && across(c))
    val hashed = met.exists { case Equality(a, b) => !across(a) && !across(b); case _ => false }
    if (hashed && below.outputSet.intersect(other.outputSet).isEmpty) met.reduceOption(And(_, _)) else None
  }

  private def columns(other: LogicalPlan, keys: Expression): LogicalPlan =
    Project(other.output.filter(keys.references.contains), other)

  /** The rows have been through this semi join, wherever other rules have moved it since, whatever they made of it. */
  private def done(below: LogicalPlan, keys: Expression): Boolean = below.exists {
    case Join(_, _, LeftSemi, Some(met), _) => met.references == keys.references
    case _ => false
  }

  private def affordable(below: LogicalPlan, other: LogicalPlan): Boolean = {
    val bytes = other.stats.sizeInBytes
    bytes <= conf.autoBroadcastJoinThreshold || bytes <= below.stats.sizeInBytes * mostTimesLarger
  }

  /** As far as is known, not every row meets one. */
  private def fewer(semi: Join, below: LogicalPlan): Boolean =
    !rows(semi).exists(out => rows(below).exists(out >= _))

  private def rows(plan: LogicalPlan): Option[BigInt] = KnownStatistics(plan).flatMap(_.rowCount)
}
