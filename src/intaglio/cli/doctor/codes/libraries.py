"""The codes of the libraries around the quote library: its network library, the PCE, the TDX host's service, and the
library inside a TD."""

from intaglio.cli.doctor.codes.code import Code

__all__ = ["PCE", "QCNL", "QGS", "TDX_ATTEST"]

_PCCS = "check pccs_url in /etc/sgx_default_qcnl.conf; intaglio doctor --host --pccs URL tries the address"
_REGISTER = "register the platform at the PCCS (PCKIDRetrievalTool, or the multi-package registration agent)"
_PCCS_LOG = "read the PCCS's log of that second"
_ONE_RELEASE = "install qgsd on the host and libtdx-attest in the TD from one release"
_HOST_SIDE = "look at the host: journalctl -u qgsd; the code that stands there says more"

QCNL = (
    Code(
        0xB001, "SGX_QCNL_UNEXPECTED_ERROR", "the network library failed without a better code", "anything", _PCCS_LOG
    ),
    Code(
        0xB002,
        "SGX_QCNL_INVALID_PARAMETER",
        "the network library was called with an argument that it can't use",
        "libraries of different releases",
        "install the quote libraries from one release",
    ),
    Code(0xB003, "SGX_QCNL_NETWORK_ERROR", "the PCCS could not be asked", "network, address or TLS", _PCCS),
    Code(
        0xB004,
        "SGX_QCNL_NETWORK_PROXY_FAIL",
        "the proxy's name can't be resolved",
        "a wrong https_proxy",
        "correct the proxy in the environment of the service (aesmd, qgsd), not of your shell",
    ),
    Code(
        0xB005,
        "SGX_QCNL_NETWORK_HOST_FAIL",
        "the PCCS's name can't be resolved",
        "a typing error, or no DNS",
        _PCCS,
    ),
    Code(
        0xB006,
        "SGX_QCNL_NETWORK_COULDNT_CONNECT",
        "nobody accepts connections at the PCCS's address",
        "the PCCS is not running, listens elsewhere, or a firewall is in the way",
        "start the PCCS; " + _PCCS,
    ),
    Code(
        0xB007,
        "SGX_QCNL_NETWORK_HTTP2_ERROR",
        "HTTP/2 to the PCCS failed",
        "a proxy in between",
        "go round the proxy",
    ),
    Code(
        0xB008,
        "SGX_QCNL_NETWORK_WRITE_ERROR",
        "the answer could not be taken in",
        "memory, or an interrupted answer",
        "try again; look at the machine's memory",
    ),
    Code(
        0xB009,
        "SGX_QCNL_NETWORK_OPERATION_TIMEDOUT",
        "the PCCS took too long",
        "it is overloaded, or waits for Intel's service itself",
        _PCCS_LOG,
    ),
    Code(
        0xB00A,
        "SGX_QCNL_NETWORK_HTTPS_ERROR",
        "TLS with the PCCS failed",
        "a certificate that is not trusted, has expired or names another host; or plain HTTP on that port",
        "give the PCCS a certificate that the host trusts; " + _PCCS,
    ),
    Code(
        0xB00B,
        "SGX_QCNL_NETWORK_UNKNOWN_OPTION",
        "libcurl does not know an option",
        "a libcurl that is too old",
        "update libcurl",
    ),
    Code(
        0xB00C, "SGX_QCNL_NETWORK_INIT_ERROR", "libcurl can't be started", "a broken installation", "reinstall libcurl"
    ),
    Code(
        0xB00D,
        "SGX_QCNL_MSG_ERROR",
        "the PCCS's answer lacks something",
        "another kind of server answers, or a proxy removed headers",
        _PCCS,
    ),
    Code(0xB00E, "SGX_QCNL_OUT_OF_MEMORY", "there was not enough memory", "a small container", "give it more memory"),
    Code(
        0xB00F,
        "SGX_QCNL_ERROR_STATUS_NO_CACHE_DATA",
        "the PCCS has no data for this platform",
        "never registered",
        _REGISTER,
    ),
    Code(
        0xB010,
        "SGX_QCNL_ERROR_STATUS_PLATFORM_UNKNOWN",
        "the PCCS does not know this platform",
        "never registered",
        _REGISTER,
    ),
    Code(0xB011, "SGX_QCNL_ERROR_STATUS_UNEXPECTED", "the PCCS failed", "an error of its own", _PCCS_LOG),
    Code(
        0xB012,
        "SGX_QCNL_ERROR_STATUS_CERTS_UNAVAILABLE",
        "Intel has no certificates for this platform",
        "it is not registered with Intel, or its TCB is not published",
        "register it with Intel; update the BIOS",
    ),
    Code(
        0xB013,
        "SGX_QCNL_ERROR_STATUS_SERVICE_UNAVAILABLE",
        "the PCCS is not available now",
        "it is starting, or has lost its database or Intel's service",
        _PCCS_LOG,
    ),
    Code(
        0xB030,
        "SGX_QCNL_INVALID_CONFIG",
        "/etc/sgx_default_qcnl.conf holds a value that can't be used",
        "an edit",
        "run intaglio doctor --host",
    ),
    Code(
        0xB031,
        "SGX_QCNL_CACHE_MISSING",
        "nothing is in the local cache",
        "local_cache_only without a filled cache",
        "fill the cache folder, or set local_cache_only to false",
    ),
    Code(
        0xB032,
        "SGX_QCNL_CACHE_EXPIRED",
        "what is in the local cache has expired",
        "it was not refreshed",
        "delete .dcap-qcnl in the cache folder, or fill it anew",
    ),
    Code(
        0xB033,
        "SGX_QCNL_ROOT_CA_UNTRUSTED",
        "the TLS certificate of the PCCS is not trusted",
        "it is self-signed",
        "install its CA on the host; use_secure_cert false is for a laboratory",
    ),
    Code(
        0xB035,
        "SGX_QCNL_CONFIG_INVALID_JSON",
        "/etc/sgx_default_qcnl.conf is broken JSON",
        "an edit",
        "run intaglio doctor --host: it names the line",
    ),
    Code(
        0xB036,
        "SGX_QCNL_CONFIG_NOT_JSON",
        "/etc/sgx_default_qcnl.conf is of the old form",
        "a file of an older release: NAME=value lines",
        "nothing, or write it anew as JSON",
    ),
)

PCE = (
    Code(0xF001, "SGX_PCE_UNEXPECTED", "the PCE failed without a better code", "anything", "read journalctl -u aesmd"),
    Code(
        0xF002,
        "SGX_PCE_INVALID_PARAMETER",
        "the PCE was called with an argument that it can't use",
        "packages of different releases are mixed",
        "install all SGX packages from one release",
    ),
    Code(
        0xF003,
        "SGX_PCE_OUT_OF_EPC",
        "no protected memory is left",
        "many enclaves at once",
        "stop enclaves, or enlarge PRMRR",
    ),
    Code(
        0xF004,
        "SGX_PCE_INTERFACE_UNAVAILABLE",
        "the PCE can't be loaded",
        "no access to /dev/sgx_provision, or its file is missing",
        "install libsgx-ae-pce; add the user to the group sgx_prv",
    ),
    Code(
        0xF005,
        "SGX_PCE_INVALID_REPORT",
        "the report that the PCE shall certify does not verify",
        "it was made on another machine, or before the machine slept",
        "restart aesmd",
    ),
    Code(
        0xF006, "SGX_PCE_CRYPTO_ERROR", "a cryptographic step inside the PCE failed", "damaged input", "restart aesmd"
    ),
    Code(
        0xF007,
        "SGX_PCE_INVALID_PRIVILEGE",
        "the PCE may not use the provisioning key",
        "the process is not in the group sgx_prv",
        "usermod -aG sgx_prv USER, and log in again",
    ),
    Code(
        0xF008,
        "SGX_PCE_INVALID_TCB",
        "the PCE can't sign at the TCB that was asked for",
        "the PCK certificate is of a newer state than the machine's microcode",
        "update microcode, or empty the PCK cache",
    ),
)

QGS = (
    Code(0x12001, "QGS_MSG_ERROR_UNEXPECTED", "the quote generation service failed", "anything", _HOST_SIDE),
    Code(
        0x12002,
        "QGS_MSG_ERROR_OUT_OF_MEMORY",
        "the service had not enough memory",
        "a small host",
        "give it more memory",
    ),
    Code(
        0x12003,
        "QGS_MSG_ERROR_INVALID_PARAMETER",
        "the service got an argument that it can't use",
        "releases differ",
        _ONE_RELEASE,
    ),
    Code(
        0x12004, "QGS_MSG_ERROR_INVALID_VERSION", "the message is of another version", "releases differ", _ONE_RELEASE
    ),
    Code(0x12005, "QGS_MSG_ERROR_INVALID_TYPE", "the message is of an unknown type", "releases differ", _ONE_RELEASE),
    Code(
        0x12006,
        "QGS_MSG_ERROR_INVALID_SIZE",
        "the message's size is wrong",
        "releases differ, or it was cut",
        _ONE_RELEASE,
    ),
    Code(
        0x12007,
        "QGS_MSG_ERROR_INVALID_CODE",
        "the service answered with an unknown code",
        "releases differ",
        _ONE_RELEASE,
    ),
)

TDX_ATTEST = (
    Code(
        0x1,
        "TDX_ATTEST_ERROR_UNEXPECTED",
        "the library failed without a better code",
        "anything",
        "read the TD's syslog",
    ),
    Code(
        0x2,
        "TDX_ATTEST_ERROR_INVALID_PARAMETER",
        "the library was called with an argument that it can't use",
        "a null pointer, or report data of another size than 64 bytes",
        "look at the call that the application makes",
    ),
    Code(0x3, "TDX_ATTEST_ERROR_OUT_OF_MEMORY", "the TD had not enough memory", "a small TD", "give it more memory"),
    Code(
        0x4,
        "TDX_ATTEST_ERROR_VSOCK_FAILURE",
        "the host's quoting service can't be reached over vsock",
        "the VM has no vsock device, /etc/tdx-attest.conf names another port, or qgsd does not run on the host",
        "start the VM with vhost-vsock, put port=4050 into /etc/tdx-attest.conf, start qgsd on the host; kernels from "
        "6.7 have configfs-tsm, which needs none of it in the TD",
    ),
    Code(
        0x5,
        "TDX_ATTEST_ERROR_REPORT_FAILURE",
        "the TD report could not be made",
        "the TDX module refused, or the guest's driver does not fit the kernel",
        "update the guest's kernel",
    ),
    Code(
        0x6,
        "TDX_ATTEST_ERROR_EXTEND_FAILURE",
        "the RTMR could not be extended",
        "the kernel does not offer it",
        "kernels from 6.16 offer it under /sys/class/misc/tdx_guest/measurements",
    ),
    Code(
        0x7,
        "TDX_ATTEST_ERROR_NOT_SUPPORTED",
        "this feature is not supported here",
        "an old kernel, or event data beside an RTMR extension",
        "compare with the library's header; update the kernel",
    ),
    Code(
        0x8,
        "TDX_ATTEST_ERROR_QUOTE_FAILURE",
        "no quote came back",
        "the host's quoting service failed: no PCK certificate, no PCCS, or no quoting enclave",
        _HOST_SIDE,
    ),
    Code(
        0x9,
        "TDX_ATTEST_ERROR_BUSY",
        "the driver is busy",
        "another process is making a quote",
        "try again after a second; one quote at a time",
    ),
    Code(
        0xA,
        "TDX_ATTEST_ERROR_DEVICE_FAILURE",
        "/dev/tdx_guest can't be used",
        "no driver, not a TD, or no rights to the device",
        "run intaglio doctor --host inside the TD",
    ),
    Code(
        0xB,
        "TDX_ATTEST_ERROR_INVALID_RTMR_INDEX",
        "this RTMR can't be extended",
        "only RTMR 2 and 3 belong to the guest",
        "use index 2 or 3",
    ),
    Code(
        0xC,
        "TDX_ATTEST_ERROR_UNSUPPORTED_ATT_KEY_ID",
        "the host makes no quote of the kind that was asked for",
        "an attestation key id of another kind",
        "ask without a list of key ids",
    ),
)
