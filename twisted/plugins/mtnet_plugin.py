from twisted.application.service import ServiceMaker

mtnet = ServiceMaker(
    "mtnet",
    "mtnet.tap",
    "Templates and signals for MetaTrader terminals.",
    "mtnet",
)
