from twisted.application.service import ServiceMaker

mtnet = ServiceMaker(
    "mtnet",
    "mtnet.service",
    "Templates and signals for MetaTrader terminals.",
    "mtnet",
)
