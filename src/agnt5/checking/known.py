"""What the standard library and well-known packages do that a body must not: tables of names.

A trailing ``.*`` stands for every function of a module: names that begin with a small letter, so
that exceptions and types are left out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Known:
    """What a call does.

    Args:
        rule: The rule that it breaks.
        effect: What that means on a replay; it follows the name of what is called.
        is_awaited: Whether it gives a coroutine, so that a step may be given the call.
    """

    rule: str
    effect: str
    is_awaited: bool = False


_CLOCK = Known("AG101", "a replay reads another time")
_CHANCE = Known("AG102", "a replay draws another value")
_IDENTIFIER = Known("AG103", "a replay makes another identifier")
_ENVIRONMENT = Known("AG104", "a replay may find another value, after a restart or elsewhere")
_IDENTITY = Known("AG105", "its value differs from process to process")
_SLEEP = Known("AG201", "every replay sleeps again, in memory", is_awaited=True)
_BLOCKING_SLEEP = Known("AG201", "it blocks every run of the process, and again on every replay")
_TIMEOUT = Known(
    "AG202", "it races with the real clock, and races again on replay", is_awaited=True
)
_FILE = Known("AG301", "it happens again on every replay, and may find something else")
_AWAITED_FILE = Known("AG301", _FILE.effect, is_awaited=True)
_NETWORK = Known("AG302", "it happens again on every replay, and may answer something else")
_AWAITED_NETWORK = Known("AG302", _NETWORK.effect, is_awaited=True)
_PROCESS = Known("AG303", "it happens again on every replay")
_AWAITED_PROCESS = Known("AG303", _PROCESS.effect, is_awaited=True)
_THREAD = Known("AG401", "what a thread does is not recorded, and happens again on every replay")
_AWAITED_THREAD = Known("AG401", _THREAD.effect, is_awaited=True)
_LATER = Known("AG401", "the loop calls it by the real clock, outside of what is recorded")


_LISTED: Final[tuple[tuple[Known, str], ...]] = (
    (
        _CLOCK,
        """
        time.time time.time_ns time.monotonic time.monotonic_ns time.perf_counter
        time.perf_counter_ns time.process_time time.process_time_ns time.thread_time
        time.thread_time_ns time.clock_gettime time.clock_gettime_ns time.localtime time.gmtime
        time.ctime time.asctime time.strftime datetime.datetime.now datetime.datetime.utcnow
        datetime.datetime.today datetime.date.today anyio.current_time pendulum.now
        pendulum.today arrow.now arrow.utcnow django.utils.timezone.now pandas.Timestamp.now
        """,
    ),
    (
        _CHANCE,
        """
        random.* random.Random random.SystemRandom secrets.token_bytes secrets.token_hex
        secrets.token_urlsafe secrets.choice secrets.randbelow secrets.randbits
        secrets.SystemRandom os.urandom os.getrandom numpy.random.*
        """,
    ),
    (
        _IDENTIFIER,
        """
        uuid.uuid1 uuid.uuid4 uuid.uuid6 uuid.uuid7 uuid.uuid8 uuid.getnode ulid.ULID ulid.new
        nanoid.generate bson.ObjectId
        """,
    ),
    (
        _ENVIRONMENT,
        """
        os.getenv os.getenvb os.getpid os.getppid os.getlogin os.getuid os.getcwd os.cpu_count
        os.uname os.getloadavg platform.node platform.uname socket.gethostname socket.getfqdn
        getpass.getuser multiprocessing.cpu_count multiprocessing.current_process
        threading.get_ident threading.current_thread
        """,
    ),
    (_IDENTITY, "builtins.id builtins.hash"),
    (_SLEEP, "asyncio.sleep anyio.sleep anyio.sleep_until trio.sleep"),
    (_BLOCKING_SLEEP, "time.sleep"),
    (
        _TIMEOUT,
        """
        asyncio.timeout asyncio.timeout_at anyio.fail_after anyio.move_on_after
        async_timeout.timeout
        """,
    ),
    (
        _FILE,
        """
        builtins.open io.open os.open os.listdir os.scandir os.walk os.remove os.unlink
        os.rename os.replace os.mkdir os.makedirs os.rmdir os.removedirs os.stat os.lstat
        os.access os.chmod os.link os.symlink os.truncate os.path.exists os.path.isfile
        os.path.isdir os.path.getsize os.path.getmtime os.path.islink shutil.* glob.glob
        glob.iglob tempfile.* tempfile.TemporaryFile tempfile.NamedTemporaryFile
        tempfile.TemporaryDirectory fileinput.input
        """,
    ),
    (_AWAITED_FILE, "aiofiles.open anyio.open_file"),
    (
        _NETWORK,
        """
        requests.get requests.post requests.put requests.patch requests.delete requests.head
        requests.options requests.request httpx.get httpx.post httpx.put httpx.patch
        httpx.delete httpx.head httpx.options httpx.request httpx.stream urllib3.request
        urllib.request.urlopen urllib.request.urlretrieve socket.socket socket.create_connection
        socket.create_server socket.getaddrinfo socket.gethostbyname smtplib.SMTP
        smtplib.SMTP_SSL imaplib.IMAP4 imaplib.IMAP4_SSL ftplib.FTP http.client.HTTPConnection
        http.client.HTTPSConnection sqlite3.connect psycopg.connect psycopg2.connect
        pymysql.connect MySQLdb.connect duckdb.connect
        """,
    ),
    (
        _AWAITED_NETWORK,
        """
        aiohttp.request asyncio.open_connection asyncio.start_server asyncpg.connect
        asyncpg.create_pool aiosqlite.connect websockets.connect anyio.connect_tcp
        """,
    ),
    (
        _PROCESS,
        """
        subprocess.run subprocess.call subprocess.check_call subprocess.check_output
        subprocess.getoutput subprocess.getstatusoutput subprocess.Popen os.system os.popen os.fork
        os.kill os.execv os.execvp os.spawnv builtins.input getpass.getpass
        multiprocessing.Process multiprocessing.Pool
        """,
    ),
    (
        _AWAITED_PROCESS,
        """
        asyncio.create_subprocess_exec asyncio.create_subprocess_shell anyio.run_process
        anyio.open_process
        """,
    ),
    (
        _THREAD,
        """
        threading.Thread threading.Timer concurrent.futures.ThreadPoolExecutor
        concurrent.futures.ProcessPoolExecutor concurrent.futures.thread.ThreadPoolExecutor
        multiprocessing.pool.ThreadPool asyncio.run_coroutine_threadsafe
        """,
    ),
    (_AWAITED_THREAD, "asyncio.to_thread anyio.to_thread.run_sync asgiref.sync.sync_to_async"),
)

CALLS: Final = {name: known for known, names in _LISTED for name in names.split()}
"""By full name."""

_REQUESTS = "get post put patch delete head options request stream send ws_connect"
_OF_PATH = """
    read_text write_text read_bytes write_bytes open unlink mkdir rmdir touch iterdir glob rglob
    exists is_file is_dir stat rename replace chmod symlink_to
"""
_OF_LOOP = {
    "time": _CLOCK,
    "run_in_executor": _AWAITED_THREAD,
    "call_later": _LATER,
    "call_at": _LATER,
}

METHODS: Final[dict[str, dict[str, Known]]] = {
    "pathlib.Path": dict.fromkeys(_OF_PATH.split(), _FILE),
    "asyncio.get_running_loop": _OF_LOOP,
    "asyncio.get_event_loop": _OF_LOOP,
    **{
        maker: dict.fromkeys(_REQUESTS.split(), known)
        for maker, known in (
            ("requests.Session", _NETWORK),
            ("requests.session", _NETWORK),
            ("httpx.Client", _NETWORK),
            ("httpx.AsyncClient", _AWAITED_NETWORK),
            ("aiohttp.ClientSession", _AWAITED_NETWORK),
        )
    },
}
"""Methods, by the full name of what made the object."""

ATTRIBUTES: Final[dict[str, Known]] = {
    "os.environ": _ENVIRONMENT,
    "os.environb": _ENVIRONMENT,
    "sys.argv": _ENVIRONMENT,
    "sys.stdin": _PROCESS,
}
"""What is wrong to name at all."""

WAITS_WITH_TIMEOUT: Final[dict[str, Known]] = dict.fromkeys(
    ("asyncio.wait", "asyncio.as_completed", "asyncio.wait_for"), _TIMEOUT
)
"""Calls that are timeouts when they are given one."""


def known_call(dotted: str) -> Known | None:
    """What a call of this full name does, if it is one of those that a body must not make."""
    found = CALLS.get(dotted)
    if found is not None:
        return found
    module, _, name = dotted.rpartition(".")
    return CALLS.get(f"{module}.*") if name[:1].islower() else None
