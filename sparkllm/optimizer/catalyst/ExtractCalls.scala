package sparkllm.catalyst

import org.apache.spark.sql.catalyst.expressions._
import org.apache.spark.sql.catalyst.expressions.aggregate.AggregateExpression
import org.apache.spark.sql.catalyst.optimizer.BooleanSimplification
import org.apache.spark.sql.catalyst.plans.{Cross, Inner}
import org.apache.spark.sql.catalyst.plans.logical._
import org.apache.spark.sql.catalyst.rules.Rule

/** Moves every call out of its operator into an LLMEval node below it.
  *
  * `Project [llm(x)]` -> `Project [r] <- LLMEval(llm(x) AS r)`. Runs before the cache look-up and every optimizer rule
  * (`late = false`), so that nothing copies a call; again at the very end (`late = true`), for calls over columns of an
  * outer query, which become ordinary columns when Spark turns the subquery into a join. */
case class ExtractCalls(late: Boolean) extends Rule[LogicalPlan] with PredicateHelper {
  override def apply(plan: LogicalPlan): LogicalPlan = if (Calls.operators(plan).isEmpty) plan else {
    if (!late) CheckCalls(plan)
    val out = FileOfRow(rewrite(plan))
    CheckCalls.nothingLeft(out)
    out
  }

  private def rewrite(plan: LogicalPlan): LogicalPlan =
    plan.transformUp { case p => extract(simplified(withSubqueries(p))) }

  private def withSubqueries(p: LogicalPlan): LogicalPlan = p.transformExpressions {
    case s: SubqueryExpression if Calls.operators(s.plan).nonEmpty => s.withNewPlan(rewrite(s.plan))
  }

  /** `p AND (p OR llm(x) = 'a')` needs no call. As it is where no call goes: of two conjuncts the second one is asked
    * where the first is true, of one in their place it is not. Operators without calls stay as a cache has them. */
  private def simplified(p: LogicalPlan): LogicalPlan = if (!p.expressions.exists(Calls.in)) p else {
    val alone = p.withNewChildren(p.children.map(c => LocalRelation(c.output))) // the rule takes a whole plan
    val simpler = BooleanSimplification(alone).withNewChildren(p.children)
    if (calls(simpler) < calls(p)) simpler else p
  }

  private def calls(p: LogicalPlan): Int = p.expressions.flatMap(Guards.occurrences).size

  private def extract(p: LogicalPlan): LogicalPlan = p match {
    case _: LLMEval | _: Command => p
    case _ if !p.expressions.exists(Calls.in) => p
    case f: Filter if splitConjunctivePredicates(f.condition).forall(Calls.deterministic) => filter(f)
    case a: Aggregate => aggregate(a)
    case j: Join => join(j)
    case u: UnaryNode => unary(u)
    case other => other // CheckCalls.nothingLeft says why not
  }

  private def unary(u: UnaryNode): LogicalPlan = {
    val placer = new Placer(u.child, u.expressions.flatMap(Guards.occurrences))
    placer.placeAll()
    keepOutput(u, u.mapExpressions(placer.replace).withNewChildren(Seq(placer.plan)))
  }

  /** Free conjuncts first, then one LLMEval after the other, each only for the rows its predecessors left. */
  private def filter(f: Filter): LogicalPlan = {
    val (asking, plain) = splitConjunctivePredicates(f.condition).partition(Calls.in)
    val child = plain.reduceOption(And(_, _)).map(Filter(_, f.child)).getOrElse(f.child)
    val placer = new Placer(child, asking.flatMap(Guards.occurrences))
    val (free, paid) = asking.partition(placer.free)
    (free ++ paid).foreach { conjunct =>
      placer.place(conjunct)
      placer.plan = FindAnswer.opened(Filter(placer.replace(conjunct), placer.plan))
    }
    keepOutput(f, placer.plan)
  }

  /** Calls in GROUP BY and in arguments of aggregates run below; the others over the groups, which are fewer. */
  private def aggregate(a: Aggregate): LogicalPlan = {
    val functions = a.aggregateExpressions.flatMap(_.collect { case f: AggregateExpression => f })
    val below = (a.groupingExpressions ++ functions).flatMap(Guards.occurrences)
    val placer = new Placer(a.child, below)
    placer.placeAll()
    def ofRows(e: Expression): Expression = e.transformDown {
      case key if a.groupingExpressions.exists(_.semanticEquals(key)) => placer.replace(key)
      case f: AggregateExpression => placer.replace(f)
    }
    val inner = a.mapExpressions(ofRows).withNewChildren(Seq(placer.plan)).asInstanceOf[Aggregate]
    keepOutput(a, if (inner.aggregateExpressions.exists(Calls.in)) extract(splitAggregate(inner)) else inner)
  }

  /** `Aggregate [g, llm(max(x))]` -> `Project [g, llm(m)] <- Aggregate [g, max(x) AS m]`. */
  private def splitAggregate(a: Aggregate): LogicalPlan = {
    val columns = scala.collection.mutable.LinkedHashMap[Expression, NamedExpression]()
    def column(e: Expression): Attribute = columns.getOrElseUpdate(e.canonicalized, e match {
      case attribute: Attribute => attribute
      case other => Alias(other, "group")()
    }).toAttribute
    val outer = a.aggregateExpressions.map(_.transformDown {
      case e if a.groupingExpressions.exists(_.semanticEquals(e)) => column(e)
      case f: AggregateExpression => column(f)
    }.asInstanceOf[NamedExpression])
    Project(outer, a.copy(aggregateExpressions = columns.values.toSeq))
  }

  /** A call over one side runs on that side, at most once per row of it; one over both sides runs on the pairs. */
  private def join(j: Join): LogicalPlan = {
    val conjuncts = splitConjunctivePredicates(j.condition.get)
    val (pairs, rest) = conjuncts.partition(c => CheckCalls.twoSided(c, j).nonEmpty)
    if (pairs.nonEmpty && (j.joinType == Inner || j.joinType == Cross)) {
      val below = extract(j.copy(condition = rest.reduceOption(And(_, _))))
      extract(Filter(pairs.reduce(And(_, _)), below))
    } else if (pairs.nonEmpty) j
    else {
      // no guards: theirs may need columns of the other side
      val all = conjuncts.flatMap(Guards.occurrences).map(_.copy(guard = None))
      val (onRight, onLeft) = all.partition { o =>
        o.call.references.nonEmpty && o.call.references.subsetOf(j.right.outputSet)
      }
      val left = new Placer(j.left, onLeft)
      val right = new Placer(j.right, onRight)
      left.placeAll()
      right.placeAll()
      val condition = conjuncts.map(c => left.replace(right.replace(c))).reduce(And(_, _))
      keepOutput(j, j.copy(left = left.plan, right = right.plan, condition = Some(condition)))
    }
  }

  /** Answers that were made visible for reuse must not reach whoever reads this operator. */
  private def keepOutput(before: LogicalPlan, after: LogicalPlan): LogicalPlan = {
    val ids = before.output.map(_.exprId)
    if (after.output.map(_.exprId) == ids) after
    else {
      val byId = after.output.map(a => a.exprId -> a).toMap
      Project(ids.map(byId), after)
    }
  }
}
