"""Contract suites and hypothesis strategies, shipped: any game, store or estimator must pass them.

xai_ray.testing.games.check_game(game)
xai_ray.testing.estimators.check_estimator(make, design, draws, table, cut)
xai_ray.testing.surrogates.check_surrogate(surrogate, n)
class TestMyStore(xai_ray.testing.stores.StoreContract): ...      # with a fixture `store`
xai_ray.testing.strategies.value_tables(), seeds(), cuts(length)
"""
