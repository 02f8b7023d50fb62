from twisted.application.service import ServiceMaker

mtnet = ServiceMaker(
    "mtnet",
    "mtnet.daemon.tap",
    "Templates and signals for MetaTrader terminals.",
    "mtnet",
)
