package sparkllm.catalyst

import java.util.{Collections, WeakHashMap}

import org.apache.spark.sql.{SparkSession, SparkSessionExtensions}
import org.apache.spark.sql.catalyst.plans.logical.LogicalPlan
import org.apache.spark.sql.catalyst.rules.Rule

/** What `spark.sql.extensions=sparkllm.catalyst.SparkLLMExtensions` adds to a session. */
class SparkLLMExtensions extends (SparkSessionExtensions => Unit) {
  override def apply(extensions: SparkSessionExtensions): Unit = if (SparkLLMExtensions.extended.add(extensions)) {
    Functions.inject(extensions)
    extensions.injectHintResolutionRule(_ => CheckAggregates)
    extensions.injectCheckRule(_ => CheckCalls)
    extensions.injectPlanNormalizationRule(_ => ExtractCalls(late = false))
    SparkLLMExtensions.rules.foreach(rule => extensions.injectOptimizerRule { session =>
      SparkLLMExtensions.addLast(session)
      rule
    })
    extensions.injectRuntimeOptimizerRule(session => PilotRun(session))
    extensions.injectPlannerStrategy(session => LLMStrategy(session))
  }
}

object SparkLLMExtensions {
  /** In this order, to a fixed point, among Spark's own rules. */
  val rules: Seq[Rule[LogicalPlan]] = Seq(
    PruneUnused, // first: a call that nobody reads should hold up nothing
    ReuseAnswers(late = false), // before any call moves away from its equal
    PullAboveWindow, // before the filters, which then go below the call that it has moved up
    PullAboveJoin, // likewise
    PushFilters, // before the limits: a limit must not pass a filter that stands above its call
    OrderCascade, // after the filters: what needs no answer is below all calls by now
    PushLimits)

  /** After everything else: Spark has turned subqueries into joins, and knows which sorts are top-k. */
  def lastRules(session: SparkSession): Seq[Rule[LogicalPlan]] = Seq(
    ExtractCalls(late = true), // calls over an outer query's columns, which have just become ordinary ones
    PushFilters, // for those
    ReuseAnswers(late = true), // limits are as far down as they go
    ReduceByJoin, // after all that moves calls: it is for those which stay below their join
    ShareBelowSort, // it looks at what ended up below a sort
    ShareCalls, // before the next, for which an exchange stands between two calls
    PreparePilot(session), // calls are where they stay; the next places them
    CoLocate(session), // what it places must stay where it is
    DataFirst, // calls that share one placement read the same rows
    StopAtLimit, // it looks at what stands between a limit and its calls by now
    UsePools) // last: it only says where each call runs

  private[catalyst] val extended =
    Collections.newSetFromMap(new WeakHashMap[SparkSessionExtensions, java.lang.Boolean]())

  /** No injection point comes after the subquery rewrite, but the experimental rules do. */
  private[catalyst] def addLast(session: SparkSession): Unit = {
    val methods = session.sessionState.experimentalMethods
    methods.synchronized {
      val missing = lastRules(session).filterNot(methods.extraOptimizations.contains)
      if (missing.nonEmpty) methods.extraOptimizations = methods.extraOptimizations ++ missing
    }
  }
}
