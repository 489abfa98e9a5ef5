"""Flags that servers' own parsers take: read in their packages on 2026-11-29, by runtime."""

from __future__ import annotations

from typing import Final

UPSTREAM: Final = {
    # The package bentoml 1.4.40, bentoml_cli/serve.py: options of `serve`,
    # and global ones.
    "bentoml": """
--api-workers --arg --arg-file --backlog --context --debug --development --do-not-track --env --host
--port --production --quiet --reload --ssl-ca-certs --ssl-cert-reqs --ssl-certfile --ssl-ciphers
--ssl-keyfile --ssl-keyfile-password --ssl-version --timeout --timeout-graceful-shutdown
--timeout-keep-alive --verbose --working-dir -p -q
""",
    # The package sglang 0.5.5, sglang/srt/server_args.py: add_argument.
    "sglang": """
--abort-on-priority-when-disabled --allow-auto-truncate --api-key --attention-backend
--base-gpu-id --bucket-e2e-request-latency --bucket-inter-token-latency
--bucket-time-to-first-token --chat-template --checkpoint-engine-wait-weights-before-ready
--chunked-prefill-size --collect-tokens-histogram --completion-template --config
--constrained-json-disable-any-whitespace --constrained-json-whitespace-pattern --context-length
--cpu-offload-gb --crash-dump-folder --cuda-graph-bs --cuda-graph-max-bs --custom-weight-loader
--data-parallel-size --debug-tensor-dump-inject --debug-tensor-dump-input-file
--debug-tensor-dump-layers --debug-tensor-dump-output-folder --decode-attention-backend
--decode-log-interval --decrypted-config-file --decrypted-draft-config-file --deepep-config
--deepep-mode --delete-ckpt-after-loading --device --disable-chunked-prefix-cache
--disable-cuda-graph --disable-cuda-graph-padding --disable-custom-all-reduce
--disable-fast-image-processor --disable-flashinfer-cutlass-moe-fp4-allgather
--disable-hybrid-swa-memory --disable-outlines-disk-cache --disable-overlap-schedule
--disable-radix-cache --disable-shared-experts-fusion --disable-tokenizer-batch-decode
--disaggregation-bootstrap-port --disaggregation-decode-dp
--disaggregation-decode-enable-offload-kvcache --disaggregation-decode-polling-interval
--disaggregation-decode-tp --disaggregation-ib-device --disaggregation-mode
--disaggregation-prefill-pp --disaggregation-transfer-backend --dist-init-addr --dist-timeout
--download-dir --dp-size --ds-channel-config-path --ds-heavy-channel-num --ds-heavy-channel-type
--ds-heavy-token-num --ds-sparse-decode-threshold --dtype --dynamic-batch-tokenizer-batch-size
--dynamic-batch-tokenizer-batch-timeout --elastic-ep-backend --enable-cache-report
--enable-cudagraph-gc --enable-custom-logit-processor --enable-deterministic-inference
--enable-double-sparsity --enable-dp-attention --enable-dp-lm-head
--enable-dynamic-batch-tokenizer --enable-eplb --enable-expert-distribution-metrics
--enable-flashinfer-allreduce-fusion --enable-fp32-lm-head --enable-hierarchical-cache
--enable-lmcache --enable-lora --enable-memory-saver --enable-metrics
--enable-metrics-for-all-schedulers --enable-mixed-chunk --enable-mscclpp --enable-multimodal
--enable-nan-detection --enable-nccl-nvls --enable-p2p-check --enable-pdmux
--enable-piecewise-cuda-graph --enable-priority-scheduling --enable-profile-cuda-graph
--enable-request-time-stats-logging --enable-return-hidden-states --enable-single-batch-overlap
--enable-symm-mem --enable-tokenizer-batch-encode --enable-torch-compile --enable-torch-symm-mem
--enable-trace --enable-two-batch-overlap --enable-weights-cpu-backup --ep
--ep-dispatch-algorithm --ep-num-redundant-experts --ep-size --eplb-algorithm
--eplb-min-rebalancing-utilization-threshold --eplb-rebalance-layers-per-chunk
--eplb-rebalance-num-iterations --expert-distribution-recorder-buffer-size
--expert-distribution-recorder-mode --expert-parallel-size --file-storage-path
--flashinfer-mla-disable-ragged --flashinfer-mxfp4-moe-precision --gc-warning-threshold-secs
--generation-tokens-buckets --gpu-id-step --grammar-backend --grpc-mode --hicache-io-backend
--hicache-mem-layout --hicache-ratio --hicache-size --hicache-storage-backend
--hicache-storage-backend-extra-config --hicache-storage-prefetch-policy --hicache-write-policy
--host --hybrid-kvcache-ratio --init-expert-location --is-embedding --json-model-override-args
--keep-mm-feature-on-device --kt-amx-method --kt-amx-weight-path --kt-cpuinfer
--kt-max-deferred-experts-per-token --kt-num-gpu-experts --kt-threadpool-count --kv-cache-dtype
--kv-events-config --load-balance-method --load-format --load-watch-interval --log-level
--log-level-http --log-requests --log-requests-level --lora-backend --lora-eviction-policy
--lora-paths --lora-target-modules --mamba-full-memory-ratio --mamba-ssm-dtype
--max-loaded-loras --max-lora-chunk-size --max-lora-rank --max-loras-per-batch
--max-mamba-cache-size --max-prefill-tokens --max-queued-requests --max-running-requests
--max-total-tokens --mem-fraction-static --mm-attention-backend --mm-max-concurrent-calls
--mm-per-request-timeout --model --model-impl --model-loader-extra-config --model-path
--modelopt-checkpoint-restore-path --modelopt-checkpoint-save-path --modelopt-export-path
--modelopt-quant --moe-a2a-backend --moe-dense-tp-size --moe-runner-backend --mooncake-ib-device
--multi-item-scoring-delimiter --nccl-init-addr --nccl-port --nnodes --node-rank
--nsa-decode-backend --nsa-prefill-backend --num-continuous-decode-steps
--num-reserved-decode-tokens --numa-node --offload-group-size --offload-mode
--offload-num-in-group --offload-prefetch-step --otlp-traces-endpoint --page-size
--pdmux-config-path --piecewise-cuda-graph-compiler --piecewise-cuda-graph-max-tokens
--piecewise-cuda-graph-tokens --pipeline-parallel-size --port --pp-max-micro-batch-size
--pp-size --preferred-sampling-params --prefill-attention-backend --prefill-round-robin-balance
--priority-scheduling-preemption-threshold --prompt-tokens-buckets --quantization
--quantization-param-path --quantize-and-serve --radix-eviction-policy --random-seed
--reasoning-parser --remote-instance-weight-loader-seed-instance-ip
--remote-instance-weight-loader-seed-instance-service-port
--remote-instance-weight-loader-send-weights-group-ports --revision --rl-on-policy-target
--sampling-backend --sampling-defaults --schedule-conservativeness
--schedule-low-priority-values-first --schedule-policy --scheduler-recv-interval
--served-model-name --show-time-cost --skip-server-warmup --skip-tokenizer-init --sleep-on-idle
--sm-group-num --speculative-accept-threshold-acc --speculative-accept-threshold-single
--speculative-algorithm --speculative-attention-mode --speculative-draft-load-format
--speculative-draft-model --speculative-draft-model-path --speculative-draft-model-revision
--speculative-eagle-topk --speculative-moe-runner-backend --speculative-ngram-branch-length
--speculative-ngram-capacity --speculative-ngram-match-type --speculative-ngram-max-bfs-breadth
--speculative-ngram-max-match-window-size --speculative-ngram-min-bfs-breadth
--speculative-ngram-min-match-window-size --speculative-num-draft-tokens --speculative-num-steps
--speculative-token-map --stream-interval --stream-output --swa-full-tokens-ratio
--tbo-token-distribution-threshold --tensor-parallel-size
--tokenizer-metrics-allowed-custom-labels --tokenizer-metrics-custom-labels-header
--tokenizer-mode --tokenizer-path --tokenizer-worker-num --tool-call-parser --tool-server
--torch-compile-max-bs --torchao-config --tp-size --triton-attention-num-kv-splits
--triton-attention-reduce-in-fp32 --triton-attention-split-tile-size --trust-remote-code
--warmups --watchdog-timeout --weight-loader-disable-mmap --weight-version
""",
    # The package torchserve 0.12.0, ts/arg_parser.py: ts_parser.
    "torchserve": """
--cpp-log-config --disable-token-auth --dt --enable-model-api --foreground --log-config
--model-store --models --ncs --no-config-snapshots --plugins-path --ppath --start --stop
--ts-config --version --workflow-store -v
""",
}
