"""Every contract between two floors, and between sipactors and its users."""

from sipactors.interfaces.application import (
    IAKAProvider,
    IConnectionObserver,
    IDigestChallengeObserver,
    ISecurityMechanism,
    ISIPObserver,
)
from sipactors.interfaces.calls import ICallObserver, IMediaSession, ISubscriptionObserver
from sipactors.interfaces.requests import (
    IClientTransactionUser,
    IDialogHost,
    IRefresh,
    IRefreshOwner,
    IRequestOwner,
    IRequestReceiver,
    IServerTransactionUser,
)
from sipactors.interfaces.wire import (
    IBearerMonitor,
    IFlow,
    IFlowWatcher,
    ILocator,
    IMessageReceiver,
    IResolver,
    ITrace,
    ITransportLayer,
)

__all__ = [
    "IAKAProvider",
    "IBearerMonitor",
    "ICallObserver",
    "IClientTransactionUser",
    "IConnectionObserver",
    "IDialogHost",
    "IDigestChallengeObserver",
    "IFlow",
    "IFlowWatcher",
    "ILocator",
    "IMediaSession",
    "IMessageReceiver",
    "IRefresh",
    "IRefreshOwner",
    "IRequestOwner",
    "IRequestReceiver",
    "IResolver",
    "ISIPObserver",
    "ISecurityMechanism",
    "IServerTransactionUser",
    "ISubscriptionObserver",
    "ITrace",
    "ITransportLayer",
]
