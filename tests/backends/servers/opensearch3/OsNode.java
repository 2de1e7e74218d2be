import static org.codelibs.opensearch.runner.OpenSearchRunner.newConfigs;

import org.codelibs.opensearch.runner.OpenSearchRunner;

/** OsNode HOME [setting=value ...]  Test-only single OpenSearch node; HOME is scratch. */
public class OsNode {
  public static void main(String[] args) throws Exception {
    OpenSearchRunner runner = new OpenSearchRunner();
    runner.onBuild((number, settings) -> {
      settings.put("network.host", "127.0.0.1").put("discovery.type", "single-node");
      // The runner prepares a cluster of several; a single node refuses these.
      settings.remove("cluster.initial_cluster_manager_nodes");
      settings.remove("cluster.initial_master_nodes");
      settings.remove("discovery.seed_hosts");
      for (int i = 1; i < args.length; i++) {
        String[] pair = args[i].split("=", 2);
        settings.put(pair[0], pair[1]);
      }
    }).build(newConfigs().clusterName("ci").numOfNode(1).basePath(args[0]).useLogger());
    runner.ensureYellow();
    Thread.currentThread().join();
  }
}
