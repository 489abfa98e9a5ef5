"""Variables that a spec does not set: of any image, and of the libraries of a known server.

The loader, shells, interpreters and SDKs of any image read them (RESERVED), and the libraries that
the catalogue's servers stand on (LIBRARIES); an image of one's own has libraries of its own.

They would run other code than the image's, or say who the pod is and whom it trusts. Of a family
that begins so, only those that a row's `but` has are a spec's; a cache goes where the container
may write. Read in ld.so(8), bash(1), python(1), node(1), java(1), perlrun(1), ruby(1), git(1), the
references of OpenSSL, curl, requests and huggingface_hub (package_reference/environment_variables),
Kubernetes' documentation of a pod's environment; NCCL's, CUDA's and PyTorch's pages of variables,
AMD's of its container toolkit (instinct.docs.amd.com/projects/container-toolkit, 2026-11-29),
the OpenMP specification with LLVM's and GNU's, and triton/knobs.py.
"""

from __future__ import annotations

from typing import Final

from model_specs.flag_kinds import SCRATCH_FILE, TEXT, WORD, table
from model_specs.setting import Setting

_LOADED: Final = "it has the image run other code than its own"
_PLATFORM: Final = "the platform sets it"
_TRUST: Final = "whom a server trusts is the image's, and Secrets are files (`secrets`)"

RESERVED: Final = (
    Setting(variables=("HOME", "LOGNAME", "PATH", "USER", "ISOSERVE_*"), why=_PLATFORM),
    # Vendors' container runtimes add GPUs by them; Neuron's hook reads one of AWS_*.
    Setting(
        variables=("AMD_VISIBLE_DEVICES", "NVIDIA_*"),
        why=f"{_PLATFORM}: GPUs come with the machine type",
    ),
    Setting(
        variables=("AWS_*", "BOTO_CONFIG", "KUBECONFIG", "KUBERNETES_*"),
        why="the platform sets who a pod is, and which API servers it sees",
    ),
    Setting(
        variables=(
            "GCONV_PATH", "GETCONF_DIR", "GLIBC_TUNABLES", "HOSTALIASES", "LD_*", "LOCALDOMAIN",
            "LOCPATH", "MALLOC_TRACE", "NIS_PATH", "NLSPATH", "RESOLV_*", "RES_OPTIONS",
        ),
        why="the dynamic loader and the C library read it before the program does",
    ),
    Setting(
        variables=(
            "BASHOPTS", "BASH_*", "CDPATH", "ENV", "IFS", "PROMPT_COMMAND", "PS4", "SHELLOPTS",
            "ZDOTDIR",
        ),
        why=_LOADED,
    ),
    Setting(
        variables=("PYTHON*", "PIP_*", "VIRTUAL_ENV", "CONDA_*"),
        why=_LOADED,
        but=table(
            (TEXT, "PYTHONASYNCIODEBUG PYTHONDEVMODE PYTHONDONTWRITEBYTECODE PYTHONFAULTHANDLER"
                   " PYTHONHASHSEED PYTHONIOENCODING PYTHONMALLOC PYTHONNOUSERSITE"
                   " PYTHONOPTIMIZE PYTHONSAFEPATH PYTHONTRACEMALLOC PYTHONUNBUFFERED PYTHONUTF8"
                   " PYTHON_GIL PYTHON_JIT PYTHON_VERSION"),
        ),
    ),
    Setting(
        variables=(
            "BUNDLE_*", "CLASSPATH", "CORECLR_*", "DOTNET_ADDITIONAL_DEPS", "DOTNET_SHARED_STORE",
            "DOTNET_STARTUP_HOOKS", "ERL_*", "GEM_*", "IBM_JAVA_OPTIONS", "JAVA_HOME",
            "JAVA_TOOL_OPTIONS", "JDK_*", "JULIA_*", "LUA_*", "NODE_COMPILE_CACHE", "NODE_OPTIONS",
            "NODE_PATH", "NODE_REPL_EXTERNAL_MODULE", "NPM_*", "OPENJ9_JAVA_OPTIONS", "PERL5*",
            "PERLLIB", "PHPRC", "PHP_INI_SCAN_DIR", "RUBY*", "R_ENVIRON*", "R_HOME", "R_LIBS*",
            "R_PROFILE*", "TCLLIBPATH", "_JAVA_OPTIONS",
        ),
        why=_LOADED,
    ),
    Setting(
        variables=("GIT_*", "SSH_*"),
        why=_LOADED,
        # What builds write down of themselves; git reads none of them.
        but=table((TEXT, "GIT_BRANCH GIT_COMMIT GIT_REVISION GIT_SHA GIT_TAG")),
    ),
    Setting(
        variables=(
            "CURL_*", "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH", "HTTPLIB2_CA_CERTS",
            "NODE_EXTRA_CA_CERTS", "NETRC", "NODE_TLS_REJECT_UNAUTHORIZED", "OPENSSL_*",
            "REQUESTS_CA_BUNDLE", "SSLKEYLOGFILE", "SSL_*", "WGETRC", "WEBSOCKET_CLIENT_CA_BUNDLE",
        ),
        why=_TRUST,
    ),
    Setting(
        variables=(
            "HF_*", "HUGGINGFACE_*", "HUGGING_FACE_*", "SENTENCE_TRANSFORMERS_HOME",
            "TRANSFORMERS_*",
        ),
        why="a server loads from its own model's folder, and from no hub",
        but=table(
            (TEXT, "HF_DATASETS_OFFLINE HF_HUB_DISABLE_EXPERIMENTAL_WARNING"
                   " HF_HUB_DISABLE_PROGRESS_BARS HF_HUB_DISABLE_SYMLINKS_WARNING"
                   " HF_HUB_DISABLE_TELEMETRY HF_HUB_DISABLE_XET HF_HUB_VERBOSITY"
                   " TRANSFORMERS_NO_ADVISORY_WARNINGS TRANSFORMERS_OFFLINE"
                   " TRANSFORMERS_VERBOSITY"),
            (SCRATCH_FILE, "HF_ASSETS_CACHE HF_DATASETS_CACHE HF_HOME HF_HUB_CACHE"
                           " HF_MODULES_CACHE HF_XET_CACHE HUGGINGFACE_HUB_CACHE"
                           " SENTENCE_TRANSFORMERS_HOME"
                           " TRANSFORMERS_CACHE"),
        ),
    ),
    # matplotlib imports what `module://` names.
    Setting(variables=("MPLBACKEND",), why=_LOADED, but=table((WORD, "MPLBACKEND"))),
    Setting(
        variables=("MPLCONFIGDIR", "TEMP", "TMP", "TMPDIR", "XDG_*"),
        why=_PLATFORM,
        but=table((SCRATCH_FILE, "MPLCONFIGDIR TEMP TMP TMPDIR XDG_CACHE_HOME XDG_CONFIG_HOME"
                                 " XDG_DATA_HOME XDG_RUNTIME_DIR XDG_STATE_HOME")),
    ),
)  # fmt: skip

_NCCL_FREE: Final = """
NCCL_ALGO NCCL_ASYNC_ERROR_HANDLING NCCL_BLOCKING_WAIT NCCL_BUFFSIZE NCCL_CROSS_NIC
NCCL_CUMEM_ENABLE NCCL_CUMEM_HOST_ENABLE NCCL_DEBUG NCCL_DEBUG_SUBSYS NCCL_GRAPH_MIXING_SUPPORT
NCCL_IB_DISABLE NCCL_IB_HCA NCCL_IGNORE_CPU_AFFINITY NCCL_LAUNCH_MODE NCCL_MAX_CTAS
NCCL_MAX_NCHANNELS NCCL_MIN_CTAS NCCL_MIN_NCHANNELS NCCL_NET_GDR_LEVEL NCCL_NTHREADS
NCCL_NVLS_ENABLE NCCL_P2P_DISABLE NCCL_P2P_LEVEL NCCL_PROTO NCCL_SHM_DISABLE NCCL_SOCKET_IFNAME
NCCL_SOCKET_NTHREADS NCCL_TIMEOUT
"""
LIBRARIES: Final = (
    Setting(
        variables=("CUDA_*",),
        why="the machine type says which GPUs there are, and the image has its own libraries",
        but=table(
            (TEXT, "CUDA_DEVICE_MAX_CONNECTIONS CUDA_DEVICE_ORDER CUDA_LAUNCH_BLOCKING"
                   " CUDA_MODULE_LOADING CUDA_MODULE_DATA_LOADING CUDA_CACHE_DISABLE"
                   " CUDA_CACHE_MAXSIZE CUDA_SCALE_LAUNCH_QUEUES"),
            (SCRATCH_FILE, "CUDA_CACHE_PATH"),
        ),
    ),
    # Others of these load plugins, or read and write files.
    Setting(variables=("NCCL_*",), why=_LOADED, but=table((WORD, _NCCL_FREE))),
    Setting(
        variables=("OMP_*", "KMP_*", "GOMP_*", "MKL_*", "OPENBLAS_*"),
        why=_LOADED,
        but=table(
            (TEXT, "GOMP_CPU_AFFINITY GOMP_SPINCOUNT KMP_AFFINITY KMP_BLOCKTIME KMP_SETTINGS"
                   " MKL_DYNAMIC MKL_NUM_THREADS OMP_DISPLAY_ENV OMP_DYNAMIC"
                   " OMP_MAX_ACTIVE_LEVELS OMP_NESTED OMP_NUM_THREADS OMP_PLACES OMP_PROC_BIND"
                   " OMP_SCHEDULE OMP_STACKSIZE OMP_THREAD_LIMIT OMP_WAIT_POLICY"
                   " OPENBLAS_NUM_THREADS"),
        ),
    ),
    Setting(
        variables=("PYTORCH_*", "TORCH_*", "TORCHDYNAMO_*", "TORCHINDUCTOR_*"),
        why=_LOADED,
        but=table(
            (TEXT, "PYTORCH_ALLOC_CONF PYTORCH_CUDA_ALLOC_CONF PYTORCH_NO_CUDA_MEMORY_CACHING"
                   " PYTORCH_NVML_BASED_CUDA_CHECK TORCH_ALLOW_TF32_CUBLAS_OVERRIDE"
                   " TORCH_CPP_LOG_LEVEL TORCH_CUDA_ARCH_LIST TORCH_DISTRIBUTED_DEBUG TORCH_LOGS"
                   " TORCH_SHOW_CPP_STACKTRACES TORCHDYNAMO_DISABLE TORCHDYNAMO_VERBOSE"
                   " TORCHINDUCTOR_COMPILE_THREADS TORCHINDUCTOR_MAX_AUTOTUNE"
                   " TORCH_NCCL_ASYNC_ERROR_HANDLING TORCH_NCCL_BLOCKING_WAIT"
                   " TORCH_NCCL_AVOID_RECORD_STREAMS TORCH_NCCL_ENABLE_MONITORING"
                   " TORCH_NCCL_HEARTBEAT_TIMEOUT_SEC"),
            (SCRATCH_FILE, "TORCHINDUCTOR_CACHE_DIR TORCH_EXTENSIONS_DIR TORCH_HOME"),
        ),
    ),
    Setting(
        variables=("TRITON_*",),
        why=_LOADED,
        but=table(
            (TEXT, "TRITON_ALWAYS_COMPILE TRITON_DEBUG TRITON_DISABLE_LINE_INFO TRITON_F32_DEFAULT"
                   " TRITON_INTERPRET TRITON_PRINT_AUTOTUNING"),
            (SCRATCH_FILE, "TRITON_CACHE_DIR TRITON_HOME"),
        ),
    ),
    Setting(
        variables=("NUMBA_*",),
        why=_LOADED,
        but=table(
            (TEXT, "NUMBA_DISABLE_JIT NUMBA_NUM_THREADS NUMBA_THREADING_LAYER"),
            (SCRATCH_FILE, "NUMBA_CACHE_DIR"),
        ),
    ),
    Setting(
        variables=(
            "CUTE_DSL_*", "DG_*", "FLASHINFER_*", "LMCACHE_*", "MODELSCOPE_*", "OUTLINES_CACHE_DIR",
            "TILELANG_*", "TVM_*",
        ),
        why=_LOADED,
        but=table(
            (TEXT, "FLASHINFER_DISABLE_VERSION_CHECK FLASHINFER_LOGLEVEL"),
            (SCRATCH_FILE, "DG_CACHE_DIR DG_JIT_CACHE_DIR FLASHINFER_WORKSPACE_BASE"
                           " OUTLINES_CACHE_DIR"),
        ),
    ),
    Setting(
        variables=(
            "CC", "CFLAGS", "COMPILER_PATH", "CPATH", "CPLUS_INCLUDE_PATH", "CXX", "CXXFLAGS",
            "C_INCLUDE_PATH", "GCC_EXEC_PREFIX", "LDFLAGS", "LIBRARY_PATH", "NVCC_*",
        ),
        why="kernels are compiled by it at the start, and then run",
    ),
)  # fmt: skip
"""Families of the libraries that the servers stand on; a compiled kernel in a cache is code."""
